import { assert, assertEquals, assertRejects } from "@std/assert";
import type { DecodeChunk, Decoder } from "../../lib/decoder/decoder.ts";
import { StepQueue } from "../../lib/scheduler/step_queue.ts";

/** A decoder whose runs end when they are told to. */
class ManualDecoder {
  readonly started: number[] = [];
  readonly #ends: PromiseWithResolvers<Float32Array[]>[] = [];
  running = 0;

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    assertEquals(++this.running, 1, "two runs at once");
    this.started.push(...chunks.map(({ slot }) => slot));
    const end = Promise.withResolvers<Float32Array[]>();
    this.#ends.push(end);
    try {
      return await end.promise;
    } finally {
      this.running--;
    }
  }

  /** Ends the oldest run once it has begun; its logits are the number of its slot. */
  async end(error?: Error): Promise<void> {
    while (this.#ends.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const end = this.#ends.shift()!;
    if (error) end.reject(error);
    else end.resolve([Float32Array.of(this.started.at(-1)!)]);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const chunk = (slot: number): DecodeChunk => ({ slot, tokens: [1], logits: 1 });
const never = new AbortController().signal;

function open(): { decoder: ManualDecoder; queue: StepQueue } {
  const decoder = new ManualDecoder();
  return { decoder, queue: new StepQueue(decoder as unknown as Decoder) };
}

Deno.test("steps run one at a time, in the order in which they came", async () => {
  const { decoder, queue } = open();
  const steps = [3, 1, 2].map((slot) => queue.run(chunk(slot), never));
  for (const _ of steps) await decoder.end();
  assertEquals((await Promise.all(steps)).map(([logit]) => logit), [3, 1, 2]);
  assertEquals(decoder.started, [3, 1, 2]);
});

Deno.test("nobody gets ahead of another by more than a step", async () => {
  const { decoder, queue } = open();
  const steps = { 0: 0, 1: 0, 2: 0 } as Record<number, number>;
  const loops = [0, 1, 2].map(async (slot) => {
    for (let i = 0; i < 20; i++) {
      await queue.run(chunk(slot), never);
      steps[slot]!++;
      const counts = Object.values(steps);
      assert(
        Math.max(...counts) - Math.min(...counts) <= 1,
        `steps: ${counts}`,
      );
    }
  });
  for (let i = 0; i < 60; i++) await decoder.end();
  await Promise.all(loops);
});

Deno.test("an error of the decoder reaches its own step alone", async () => {
  const { decoder, queue } = open();
  const steps = [0, 1, 2].map((slot) => queue.run(chunk(slot), never));
  const failed = assertRejects(() => steps[1]!, Error, "engine broke");
  await decoder.end();
  await decoder.end(new Error("engine broke"));
  await decoder.end();
  await failed;
  assertEquals([(await steps[0]!)[0], (await steps[2]!)[0]], [0, 2]);
  const next = queue.run(chunk(5), never);
  await decoder.end();
  assertEquals((await next)[0], 5);
});

Deno.test("a step aborted before it begins leaves the queue, whatever runs meanwhile", async () => {
  const { decoder, queue } = open();
  const stops = [0, 1, 2, 3].map(() => new AbortController());
  const steps = stops.map(({ signal }, slot) => queue.run(chunk(slot), signal));
  const reason = new Error("went away");
  const left = [2, 3].map((slot) =>
    assertRejects(() => steps[slot]!, Error, "went away")
  );
  stops[3]!.abort(reason); // at once
  await decoder.end();
  stops[2]!.abort(reason); // while another of its batch runs
  await left[0];
  await left[1];
  await decoder.end();
  assertEquals([(await steps[0]!)[0], (await steps[1]!)[0]], [0, 1]);
  assertEquals(decoder.started, [0, 1]);
});

Deno.test("a step aborted while it runs is run to its end, and the queue goes on", async () => {
  const { decoder, queue } = open();
  const stop = new AbortController();
  const step = queue.run(chunk(4), stop.signal);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(decoder.started, [4]);
  stop.abort();
  const next = queue.run(chunk(6), never);
  await decoder.end();
  assertEquals((await step)[0], 4); // whoever aborted drops it
  await decoder.end();
  assertEquals((await next)[0], 6);
});

Deno.test("a step with an aborted signal is not queued", async () => {
  const { decoder, queue } = open();
  await assertRejects(async () =>
    await queue.run(chunk(1), AbortSignal.abort(new Error("gone")))
  );
  const next = queue.run(chunk(2), never);
  await decoder.end();
  await next;
  assertEquals(decoder.started, [2]);
});
