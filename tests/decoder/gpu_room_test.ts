import { assert, assertEquals, assertRejects } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Gpu } from "../../lib/engine/gpu.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import { type GpuFixture, openGpuFixture } from "./gpu_fixture.ts";
import { appendAll, assertLogits } from "./open.ts";

const ignore = absentReason !== null;
const POLICY = new SinkWindow(4, 13);
const TOLERANCE = 1e-4;

const TENSORS = 4; // keys and values of two layers

/** Refuses caches that take more than `most` bytes in all, as a device does that has no more. */
function capCaches(gpu: Gpu, most: number): void {
  const create = gpu.device.createBuffer;
  const { maxBufferSize } = gpu.device.limits;
  let [claimed, bytes] = [0, 0];
  gpu.device.createBuffer = (descriptor) => {
    if (!/^(keys|values)_/.test(descriptor.label ?? "")) {
      return create(descriptor);
    }
    bytes += descriptor.size;
    const refused = ++claimed <= TENSORS && bytes > most;
    const size = refused ? 2 * maxBufferSize : descriptor.size;
    return create({ ...descriptor, size });
  };
}

/** Binds no more than `most` bytes. */
function capBindings(gpu: Gpu, most: number): void {
  const { limits } = gpu.device;
  const value = new Proxy(limits, {
    get: (_, name) =>
      name === "maxStorageBufferBindingSize" ? most : Reflect.get(limits, name),
  });
  Object.defineProperty(gpu.device, "limits", { value });
}

Deno.test({
  name:
    "a GPU with too little memory for the slots asked for says how many fit",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    let most: number;
    {
      await using five = await openGpuFixture(model, { slots: 5 });
      most = five.decoder.cacheBytes;
      assertEquals(five.gpu.bytes.caches, most);
    }
    const opened: Gpu[] = [];
    const cap = (gpu: Gpu) => {
      opened.push(gpu);
      capCaches(gpu, most);
    };
    for (const slots of [6, 8, 21]) {
      await assertRejects(
        () => openGpuFixture(model, { slots }, { opened: cap }),
        Error,
        `Cannot keep ${slots} slots on the GPU: 5 fit`,
      );
    }
    await using _fits = await openGpuFixture(model, { slots: 5 }, {
      opened: cap,
    });
    const alive = opened.filter(({ isLost }) => !isLost);
    assertEquals(alive.length, 1); // all others were given back

    most = 1000;
    await assertRejects(
      () => openGpuFixture(model, { slots: 3 }, { opened: cap }),
      Error,
      "Cannot claim the memory of all slots on the GPU: ",
    );
    assertEquals(opened.filter(({ isLost }) => !isLost).length, 1);
  },
});

Deno.test({
  name:
    "slots in several banks give the logits that they give in one, on another device, too",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    const reference = await DecoderReference.read(model.path);
    const bytes = 2 * 2 * (4 + 13 + 4 + 2) * 16 * 4; // of two slots' keys of a layer
    await using fixture = await openGpuFixture(model, { slots: 5 }, {
      opened: (gpu) => capBindings(gpu, bytes),
    });
    const { decoder, hooks } = fixture;
    let runs = 0;
    hooks.run = ({ go }) => {
      runs++;
      return go();
    };
    const slots = [0, 1, 2, 3, 4];
    const conversations = slots.map((slot) => ({
      tokens: randomTokens(50, 96, slot),
      expected: reference.start(POLICY),
    }));
    for (const slot of slots) {
      decoder.open(slot, POLICY);
      const before = conversations[slot]!.tokens.slice(0, 10 + slot);
      await appendAll(decoder, before, { size: 5, slot });
      conversations[slot]!.expected.appendAll(before);
    }
    /** Appends to some slots at once, to each as many tokens as it says. */
    const append = async (counts: Record<number, number>) => {
      const chunks = Object.entries(counts).map(([slot, count]) => {
        const { tokens } = conversations[Number(slot)]!;
        const seen = decoder.seen(Number(slot));
        const part = tokens.slice(seen, seen + count);
        return { slot: Number(slot), tokens: part, logits: count };
      });
      const logits = await decoder.run(chunks);
      for (const [i, { slot, tokens }] of chunks.entries()) {
        const expected = conversations[slot]!.expected.appendAll(tokens);
        const rows = expected.map((_, row) =>
          logits[i]!.subarray(
            row * decoder.vocabulary,
            (row + 1) * decoder.vocabulary,
          )
        );
        assertLogits(rows, expected, TOLERANCE, `slot ${slot}`);
      }
    };
    runs = 0;
    await append({ 0: 1, 1: 1, 2: 1, 3: 1, 4: 1 });
    assertEquals(runs, 3);
    for (let i = 0; i < 6; i++) await append({ 4: 1, 1: 1, 2: 1 });
    await append({ 0: 3, 3: 1, 4: 4 });
    const copy = decoder.save(3);
    decoder.open(3, POLICY);
    await decoder.restore(3, copy);
    fixture.gpu.device.destroy();
    await append({ 0: 1, 1: 1, 2: 1, 3: 1, 4: 1 });
    await append({ 3: 2 });
    await append({ 3: 1, 4: 1 });
    assert(fixture.gpus.length === 2);
  },
});

Deno.test({
  name: "a GPU that cannot bind one slot's keys says so",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    const opened: GpuFixture["gpus"][number][] = [];
    await assertRejects(
      () =>
        openGpuFixture(model, { slots: 1 }, {
          opened(gpu) {
            opened.push(gpu);
            capBindings(gpu, 1000);
          },
        }),
      RangeError,
      "Make EVERSTREAM_WINDOW smaller",
    );
    assert(opened.every(({ isLost }) => isLost));
  },
});
