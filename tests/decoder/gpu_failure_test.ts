import { assertEquals, assertRejects } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import { type HookedRun, openGpuFixture } from "./gpu_fixture.ts";
import { appendAll, assertLogits } from "./open.ts";

const ignore = absentReason !== null;
const POLICY = new SinkWindow(4, 13);
const TOLERANCE = 1e-4;

/** Makes all that a run computes no numbers. */
async function poisoned({ gpu, input, go }: HookedRun): Promise<void> {
  const embeddings = input("embeddings");
  const values = new Float32Array(embeddings.size / 4).fill(NaN);
  gpu.device.queue.writeBuffer(embeddings, 0, values);
  await go();
}

/** Likewise, and then the engine fails. */
async function poisonedAndFailed(run: HookedRun): Promise<void> {
  await poisoned(run);
  throw new Error("The engine failed on purpose");
}

/** Of the failed run; others idle in it, or were never opened. */
const [SLOT, IDLE, NEVER] = [7, 6, 5] as const;

/** Appends by `run`, which gives logits, or by `sample`, which gives a choice. */
type Attempt = (decoder: GpuDecoder, tokens: number[]) => Promise<unknown>;

const ATTEMPTS: Record<string, Attempt> = {
  run: (decoder, tokens) => decoder.run([{ slot: SLOT, tokens, logits: 0 }]),
  sample: (decoder, tokens) => {
    const sampler = createSampler({ temperature: 0 }, decoder.vocabulary);
    return decoder.sample([{ slot: SLOT, tokens, sampler }]);
  },
};

for (const [what, count] of [["step", 1], ["chunk", 20]] as const) {
  Deno.test({
    name:
      `a ${what} whose logits are no numbers fails, and leaves nothing in any slot`,
    ignore,
    async fn() {
      await using model = await writeSmallModel();
      const policy = new SinkWindow(4, 196);
      await using fixture = await openGpuFixture(model, {
        slots: SLOT + 1,
        window: policy.window,
      });
      const { decoder, hooks } = fixture;
      const [before, after] = [randomTokens(100), randomTokens(34, 96, 8)];
      const expected = (await DecoderReference.read(model.path)).start(policy)
        .appendAll([...before, ...after]).slice(before.length);
      for (const fault of [poisoned, poisonedAndFailed]) {
        for (const [way, attempt] of Object.entries(ATTEMPTS)) {
          for (const slot of [IDLE, SLOT]) {
            decoder.open(slot, policy);
            await appendAll(decoder, before, { size: 64, slot });
          }
          hooks.run = fault;
          await assertRejects(() => attempt(decoder, randomTokens(count)));
          hooks.run = ({ go }) => go();
          assertEquals(decoder.seen(SLOT), before.length);
          // Runs append at row 128, where the failed one did, and from 128 tokens on behind its rows.
          for (const slot of [SLOT, IDLE, NEVER]) {
            if (slot === NEVER) {
              decoder.open(slot, policy);
              await appendAll(decoder, before, { size: 64, slot });
            }
            const [first, rest] = [after.slice(0, 30), after.slice(30)];
            const actual = [
              ...await appendAll(decoder, first, { size: 6, slot }),
              ...await appendAll(decoder, rest, { size: 1, slot }),
            ];
            assertLogits(actual, expected, TOLERANCE, `${way}, slot ${slot}`);
          }
        }
      }
    },
  });
}

Deno.test({
  name: "steps and chunks that fail together leave no memory claimed",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, { slots: 3 });
    const { decoder, hooks } = fixture;
    for (const slot of [0, 1, 2]) decoder.open(slot, POLICY);
    const attempt = () =>
      decoder.run([
        { slot: 0, tokens: [1], logits: 1 },
        { slot: 1, tokens: [1, 2], logits: 1 },
        { slot: 2, tokens: [1, 2, 3], logits: 1 },
      ]);
    await attempt();
    const { bytes } = fixture.gpu;
    let runs = 0;
    hooks.run = (run) => ++runs % 3 === 0 ? poisoned(run) : run.go();
    for (let i = 0; i < 3; i++) await assertRejects(attempt, Error);
    assertEquals(runs, 9);
    assertEquals(fixture.gpu.bytes, bytes);
    assertEquals([0, 1, 2].map((slot) => decoder.seen(slot)), [1, 2, 3]);
    hooks.run = ({ go }) => go();
    await attempt();
    assertEquals(fixture.gpu.bytes, bytes);
  },
});

Deno.test({
  name:
    "an error that nobody waited for is as a device that is lost: no conversation goes on there",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    const caches: GPUBuffer[] = [];
    await using fixture = await openGpuFixture(model, { slots: 2 }, {
      opened({ device }) {
        const create = device.createBuffer;
        device.createBuffer = (descriptor) => {
          const buffer = create(descriptor);
          if (descriptor.label?.startsWith("keys")) caches.push(buffer);
          return buffer;
        };
      },
    });
    const { decoder, gpu } = fixture;
    const [before, after] = [randomTokens(40), randomTokens(6, 96, 8)];
    const expected = (await DecoderReference.read(model.path)).start(POLICY);
    expected.appendAll(before);
    decoder.open(0, POLICY);
    await appendAll(decoder, before, { size: 1 });
    // As if the rows of the last token had not been moved.
    for (const buffer of caches) {
      gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size));
      gpu.device.queue.writeBuffer(buffer, buffer.size, new Uint8Array(4));
    }
    const actual = await appendAll(decoder, after, { size: 1 });
    assertLogits(actual, expected.appendAll(after), TOLERANCE);
    assertEquals(fixture.gpus.length, 2);
    assertEquals(gpu.isLost, true); // given back
  },
});

Deno.test({
  name: "in f16, logits that are no numbers say what else there is",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, { element: "f16" });
    const { decoder, hooks } = fixture;
    hooks.run = async ({ gpu, input, go }) => {
      const embeddings = input("embeddings");
      const values = new Float16Array(embeddings.size / 2).fill(Infinity);
      gpu.device.queue.writeBuffer(embeddings, 0, values);
      await go();
    };
    decoder.open(0, POLICY);
    const sampler = createSampler({ temperature: 0 }, decoder.vocabulary);
    await assertRejects(
      () => decoder.sample([{ slot: 0, tokens: [7], sampler }]),
      RangeError,
      "EVERSTREAM_GPU_ROWS=f32",
    );
  },
});
