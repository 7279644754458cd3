import { assert, assertEquals, assertRejects } from "@std/assert";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
} from "../../lib/decoder/decoder.ts";
import { sampleByRun } from "../../lib/decoder/sample_by_run.ts";
import {
  createSampler,
  type Sample,
  type Sampler,
} from "../../lib/sampling/mod.ts";
import { ComputeTurns } from "../../lib/scheduler/compute_turns.ts";
import { Scheduler } from "../../lib/scheduler/scheduler.ts";

/** A decoder whose runs end when they are told to; logits are the slot and what it has seen. */
class ManualDecoder {
  readonly chunk = 16;
  /** Slots and numbers of tokens of each run that began. */
  readonly runs: string[] = [];
  readonly seen = new Map<number, number>();
  /** Makes a run fail. */
  fails: (chunks: readonly DecodeChunk[]) => boolean = () => false;
  readonly #gates: PromiseWithResolvers<void>[] = [];
  #running = false;

  limit(slot: number): number {
    return slot === 9 ? 3 : this.chunk;
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    assert(!this.#running, "two runs at once");
    this.#running = true;
    this.runs.push(
      chunks.map(({ slot, tokens }) => `${slot}:${tokens.length}`).join(" "),
    );
    const gate = Promise.withResolvers<void>();
    this.#gates.push(gate);
    await gate.promise;
    this.#running = false;
    if (this.fails(chunks)) throw new Error("engine broke");
    return chunks.map(({ slot, tokens, logits }) => {
      const seen = (this.seen.get(slot) ?? 0) + tokens.length;
      this.seen.set(slot, seen);
      return Float32Array.from(logits === 0 ? [] : [slot, seen]);
    });
  }

  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    return sampleByRun(this, chunks);
  }

  /** Ends runs as they begin, so many. */
  async end(runs = 1): Promise<void> {
    for (let i = 0; i < runs; i++) {
      while (this.#gates.length === 0) await pause();
      this.#gates.shift()!.resolve();
      await pause();
    }
  }

  /** Waits until a run has begun. */
  async begun(): Promise<void> {
    while (this.#gates.length === 0) await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

const never = new AbortController().signal;

/** Chooses a "token" that tells the logits: a hundred times the slot, and what it has seen. */
const sampler = {
  sample: ([slot, seen]: Float32Array) => ({
    token: 100 * slot! + seen!,
    logprobs: null,
  }),
} as unknown as Sampler;

const sampled = { sampler, signal: never };

async function tokensOf(
  samples: readonly Promise<Sample>[],
): Promise<number[]> {
  return (await Promise.all(samples)).map(({ token }) => token);
}

/** A scheduler on a clock of its own, which waits so many milliseconds for each turn. */
function open(wait = 0) {
  const decoder = new ManualDecoder();
  const clock = { now: 0 };
  const turns = new ComputeTurns();
  const take = turns.take.bind(turns);
  turns.take = (work) =>
    take(() => {
      clock.now += wait;
      return work();
    });
  const scheduler = new Scheduler(
    decoder as unknown as Decoder,
    { now: () => clock.now, turns },
  );
  return { decoder, scheduler, clock };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

Deno.test("all steps that wait are one run, and each gets its own logits", async () => {
  const { decoder, scheduler } = open();
  const steps = [3, 1, 2].map((slot) => scheduler.step(slot, 5, sampled));
  await decoder.end();
  assertEquals(await tokensOf(steps), [301, 101, 201]);
  assertEquals(decoder.runs, ["3:1 1:1 2:1"]);
});

Deno.test("one joins and leaves between steps, and the others go on", async () => {
  const { decoder, scheduler } = open();
  const decode = async (slot: number, count: number) => {
    for (let i = 0; i < count; i++) await scheduler.step(slot, i, sampled);
  };
  const first = decode(0, 4);
  await decoder.begun();
  const second = decode(1, 2);
  await decoder.end(4);
  await Promise.all([first, second]);
  assertEquals(decoder.runs, ["0:1", "1:1 0:1", "1:1 0:1", "0:1"]);
});

Deno.test("a prompt alone is read in the largest chunks", async () => {
  const { decoder, scheduler } = open();
  const told: number[] = [];
  const sample = scheduler.prefill(4, numbers(40), {
    ...sampled,
    onChunk: (appended) => told.push(appended),
  });
  await decoder.end(3);
  assertEquals(await tokensOf([sample]), [440]);
  assertEquals(told, [16, 32, 40]);
  assertEquals(decoder.runs, ["4:16", "4:16", "4:8"]);
});

Deno.test("short prompts are read first, and a long one gets on all the same", async () => {
  const { decoder, scheduler } = open();
  const prefill = (slot: number, count: number) =>
    scheduler.prefill(slot, numbers(count), sampled);
  const prompts = [prefill(4, 100), prefill(5, 32), prefill(6, 32)];
  prompts.push(prefill(9, 4)); // of which 3 tokens fit a chunk
  await decoder.end(13);
  assertEquals(await tokensOf(prompts), [500, 532, 632, 904]);
  assertEquals(decoder.runs.slice(0, 8), [
    "9:3",
    "9:1",
    "5:16",
    "4:16", // its turn, as it came first
    "5:16",
    "6:16",
    "6:16",
    "4:16",
  ]);
});

for (const wait of [0, 1000]) {
  Deno.test(`while others stream, a prompt's chunks follow from what steps take, after ${wait} ms of waiting`, async () => {
    const { decoder, scheduler, clock } = open(wait);
    let streaming = true;
    const stream = (async () => {
      while (streaming) await scheduler.step(0, 1, sampled);
    })();
    // A step takes 10 ms, a chunk 1 ms a token: 10 tokens fit a turn.
    const run = decoder.run.bind(decoder);
    decoder.run = async (chunks) => {
      const result = await run(chunks);
      const [{ slot, tokens }] = chunks as [DecodeChunk];
      clock.now += slot === 0 ? 10 : tokens.length;
      return result;
    };
    await decoder.end(3);
    const prompt = scheduler.prefill(4, numbers(60), sampled);
    let ended = false;
    prompt.then(() => ended = true);
    while (!ended) await decoder.end();
    streaming = false;
    await decoder.end();
    await stream;
    const chunks = decoder.runs.filter((run) => run.startsWith("4:"));
    assertEquals(chunks, ["4:8", "4:9", "4:10", "4:11", "4:10", "4:11", "4:1"]);
    const between = decoder.runs.join(" ").split(/ ?4:\d+ ?/).slice(1, -1);
    assertEquals(between, Array(6).fill("0:1"));
  });
}

Deno.test("an error in a batch reaches those alone that fail alone", async () => {
  const { decoder, scheduler } = open();
  decoder.fails = (chunks) => chunks.some(({ slot }) => slot === 1);
  const steps = [0, 1, 2].map((slot) => scheduler.step(slot, 5, sampled));
  const failed = assertRejects(() => steps[1]!, Error, "engine broke");
  await decoder.end(4);
  await failed;
  assertEquals(await tokensOf([steps[0]!, steps[2]!]), [1, 201]);
  assertEquals(decoder.runs, ["0:1 1:1 2:1", "0:1", "1:1", "2:1"]);
  const prompt = scheduler.prefill(1, [1, 2], sampled);
  const broke = assertRejects(() => prompt, Error, "engine broke");
  await decoder.end();
  await broke;
  const next = scheduler.step(5, 1, sampled);
  await decoder.end();
  assertEquals(await tokensOf([next]), [501]);
});

Deno.test("a prompt without a sampler is followed by no token", async () => {
  const { decoder, scheduler } = open();
  const prompt = scheduler.prefill(4, numbers(20), { signal: never });
  await decoder.end(2);
  assertEquals(await prompt, null);
  assertEquals(decoder.seen.get(4), 20);
});

Deno.test("a sampler that fails is the concern of its request alone", async () => {
  const { decoder, scheduler } = open();
  const broken = {
    signal: never,
    sampler: createSampler({}, 3), // there are two logits
  };
  const steps = [0, 1, 2].map((slot) =>
    scheduler.step(slot, 5, slot === 1 ? broken : sampled)
  );
  const failed = assertRejects(() => steps[1]!, TypeError, "length is 2");
  await decoder.end();
  await failed;
  assertEquals(await tokensOf([steps[0]!, steps[2]!]), [1, 201]);
  assertEquals(decoder.runs, ["0:1 1:1 2:1"]);
  assertEquals(decoder.seen.get(1), 1);
  const prompt = scheduler.prefill(1, [1, 2], broken);
  const rejected = assertRejects(() => prompt, TypeError, "length is 2");
  await decoder.end();
  await rejected;
  assertEquals(decoder.seen.get(1), 3);
});

Deno.test("a step that is run again takes no second random number", async () => {
  const { decoder, scheduler } = open();
  const options = () => ({
    sampler: createSampler({ seed: 5 }, 2),
    signal: never,
  });
  const fractions: number[] = [];
  decoder.sample = (chunks) => {
    for (const { sampler } of chunks) {
      fractions.push(sampler.request()!.fraction);
    }
    return sampleByRun(decoder, chunks);
  };
  decoder.fails = (chunks) => chunks.length > 1;
  const steps = [0, 1].map((slot) => scheduler.step(slot, 5, options()));
  await decoder.end(3);
  await Promise.all(steps);
  const { fraction } = options().sampler.request()!;
  assertEquals(fractions, Array(4).fill(fraction));
});

Deno.test("what is aborted before it runs leaves at once, whatever runs meanwhile", async () => {
  const { decoder, scheduler } = open();
  const running = scheduler.step(0, 1, sampled);
  await decoder.begun();
  const stop = new AbortController();
  const left = [
    scheduler.step(1, 1, { sampler, signal: stop.signal }),
    scheduler.prefill(2, numbers(9), { sampler, signal: stop.signal }),
  ];
  const rejected = left.map((job) => assertRejects(() => job, Error, "away"));
  stop.abort(new Error("went away"));
  await Promise.all(rejected);
  await decoder.end();
  await running;
  await pause();
  assertEquals(decoder.runs, ["0:1"]);
});

Deno.test("what is aborted while it runs holds its slot until the run ends", async () => {
  const { decoder, scheduler } = open();
  const stop = new AbortController();
  let ended = 0;
  const step = scheduler.step(4, 1, { sampler, signal: stop.signal })
    .finally(() => ended++);
  await decoder.begun();
  stop.abort(new Error("went away"));
  await pause();
  assertEquals(ended, 0);
  await decoder.end();
  assertEquals(await tokensOf([step]), [401]); // whoever aborted drops it

  const later = new AbortController();
  const prompt = scheduler.prefill(5, numbers(40), { signal: later.signal })
    .finally(() => ended++);
  const rejected = assertRejects(() => prompt, Error, "later");
  await decoder.begun();
  later.abort(new Error("went later"));
  await pause();
  assertEquals(ended, 1);
  await decoder.end();
  await rejected;
  assertEquals(decoder.seen.get(5), 16);
  const next = scheduler.step(6, 1, sampled);
  await decoder.end();
  await next;
  assertEquals(decoder.runs, ["4:1", "5:16", "6:1"]);
});

Deno.test("what comes with an aborted signal is not queued", async () => {
  const { decoder, scheduler } = open();
  const gone = AbortSignal.abort(new Error("gone"));
  await assertRejects(async () =>
    await scheduler.step(1, 1, { sampler, signal: gone })
  );
  await assertRejects(async () =>
    await scheduler.prefill(1, [1], { signal: gone })
  );
  const next = scheduler.step(2, 1, sampled);
  await decoder.end();
  await next;
  assertEquals(decoder.runs, ["2:1"]);
});

Deno.test("each chunk of a prompt says which of its own tokens begin messages", async () => {
  const told: { starts?: readonly number[] }[] = [];
  const decoder = new ManualDecoder();
  const run = decoder.run.bind(decoder);
  decoder.run = (chunks) => {
    told.push(...chunks);
    return run(chunks);
  };
  const scheduler = new Scheduler(decoder as unknown as Decoder);
  const starts = [0, 2, 3, 7];
  const done = scheduler.prefill(9, Array(8).fill(7), {
    starts,
    signal: never,
    sampler,
  });
  await decoder.end(3);
  await done;
  assertEquals(told.map(({ starts }) => starts), [[0, 2], [0], [1]]);
});
