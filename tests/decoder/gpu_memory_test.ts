import { assert, assertEquals } from "@std/assert";
import { DispatchCounter } from "../../bench/dispatch_counter.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import { download } from "../gpu.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import { openGpuFixture } from "./gpu_fixture.ts";

const ignore = absentReason !== null;
const POLICY = new SinkWindow(4, 13);

/** Steps each slot by one token of its own choice; gives the tokens. */
async function step(
  decoder: GpuDecoder,
  tokens: readonly number[],
): Promise<number[]> {
  const results = await decoder.sample(
    tokens.map((token, slot) => ({
      slot,
      tokens: [token],
      sampler: createSampler({ temperature: 1 }, decoder.vocabulary),
    })),
  );
  return results.map((result) => {
    assert(result.status === "fulfilled");
    return result.value.token;
  });
}

/** Appends a prompt in chunks; gives how many tokens it had. */
async function prefill(
  decoder: GpuDecoder,
  slot: number,
  tokens: readonly number[],
): Promise<number> {
  for (let at = 0; at < tokens.length;) {
    const chunk = tokens.slice(at, at + decoder.limit(slot));
    await decoder.run([{ slot, tokens: chunk, logits: 0 }]);
    at += chunk.length;
  }
  return tokens.length;
}

Deno.test({
  name:
    "a GPU's memory stays as it is for 2,000 tokens, and little is read back",
  ignore,
  async fn() {
    using counter = new DispatchCounter();
    await using model = await writeSmallModel();
    await using fixture = await openGpuFixture(model, {
      slots: 8,
      repeated: 100, // so that conversations are copied to the host many times
    });
    const { decoder } = fixture;
    const prompt = randomTokens(70);
    let tokens = [1, 2, 3, 4, 5, 6, 7];
    /** A number of steps of seven slots, beside which the eighth reads prompts now and then. */
    const stream = async (steps: number) => {
      let count = 0;
      for (let i = 0; i < steps; i++) {
        if (i % 50 === 20) {
          decoder.open(7, POLICY);
          count += await prefill(decoder, 7, prompt);
        }
        tokens = await step(decoder, tokens);
        count += tokens.length;
      }
      return count;
    };
    for (let slot = 0; slot < 7; slot++) decoder.open(slot, POLICY);
    await stream(60); // past capacity, and all shapes of runs
    const { created, bytes } = fixture.gpu;
    counter.take();
    const count = await stream(260);
    assert(count > 2000);
    assertEquals(fixture.gpu.created, created);
    assertEquals(fixture.gpu.bytes, bytes);
    assertEquals(decoder.gpuBytes, bytes);
    const { mapped } = counter.take();
    assert(mapped > 0 && mapped / count <= 4096, `${mapped / count} a token`);
    assertEquals(fixture.gpus.length, 1);
  },
});

/** Rows of each head of a slot in one buffer. */
async function rowsOf(
  device: GPUDevice,
  buffer: GPUBuffer,
  { slots, slot, width }: { slots: number; slot: number; width: number },
): Promise<string[][]> {
  const all = new Float32Array(await download(device, buffer));
  const heads = 2;
  const rows = all.length / slots / heads / width;
  return Array.from(
    { length: heads },
    (_, head) =>
      Array.from({ length: rows }, (_, row) => {
        const at = ((slot * heads + head) * rows + row) * width;
        return all.subarray(at, at + width).join();
      }),
  );
}

Deno.test({
  name:
    "a token past capacity writes the oldest row of each head's ring, and moves no other",
  ignore,
  async fn() {
    await using model = await writeSmallModel();
    const caches = new Map<string, GPUBuffer>();
    await using fixture = await openGpuFixture(model, { slots: 2 }, {
      opened(gpu) {
        const create = gpu.device.createBuffer;
        gpu.device.createBuffer = (descriptor) => {
          const buffer = create(descriptor);
          const { label = "" } = descriptor;
          // The stage has buffers of the same names, claimed later.
          if (/^(keys|values)_\d$/.test(label) && !caches.has(label)) {
            caches.set(label, buffer);
          }
          return buffer;
        };
      },
    });
    const { decoder, gpu } = fixture;
    for (const slot of [0, 1]) decoder.open(slot, POLICY);
    let next = 0; // never twice in a window: a token's first values are always the same
    const append = () =>
      step(decoder, [next % decoder.vocabulary, ++next % decoder.vocabulary]);
    for (let i = 0; i < 20; i++) await append();
    const [sinks, window] = [4, 13];
    const read = async () => {
      const rows: string[][] = [];
      for (const buffer of caches.values()) {
        for (const slot of [0, 1]) {
          const of = { slots: 2, slot, width: 16 };
          rows.push(...await rowsOf(gpu.device, buffer, of));
        }
      }
      return rows;
    };
    let before = await read();
    assertEquals(before.length, 2 * 2 * 2 * 2); // layers, keys and values, slots, heads
    for (let i = 0; i < window + 2; i++) {
      const oldest = sinks + (decoder.seen(0) - sinks) % window;
      await append();
      const after = await read();
      for (const [head, rows] of after.entries()) {
        const changed = rows.slice(0, sinks + window).flatMap((row, index) =>
          row === before[head]![index] ? [] : [index]
        );
        assertEquals(changed, [oldest]);
      }
      before = after;
    }
  },
});
