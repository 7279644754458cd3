/**
 * What `window-recompute` must do on every engine (the cache contract, points 1 to 3, 7 and 8): each
 * query's logits are those of a conversation that begins with its window, against the reference in f64.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RecomputedWindow } from "../../lib/cache/recomputed_window.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { RecomputingDecoder } from "../../lib/decoder/recomputing_decoder.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import {
  attendedPositions,
  DecoderReference,
} from "../reference/decoder_reference.ts";
import type { RowDefinition } from "../reference/row_reference.ts";
import {
  randomBoundaries,
  randomTokens,
  writeSmallModel,
} from "../reference/small_model.ts";
import { appendAll, assertLogits, type TestedEngine } from "./open.ts";

/** How far an engine is tested. */
export interface RecomputeContractOptions {
  /** Why the engine cannot be tested here; `null` if it can. */
  readonly absent?: string | null;
  /** Tokens of each conversation. */
  readonly tokens: number;
  /** Just the logits of one window, where runs are slow: all else is the same on every engine. */
  readonly brief?: boolean;
  /** Largest rounding error of a logit. */
  readonly tolerance: number;
}

const LAYOUT = { sinkRows: 4, blocks: [4, 9] };
/** Smaller than windows: a window takes several runs. */
const CHUNK = 5;
const POLICY = new RecomputedWindow(13);
const PLAIN = new SinkWindow(4, 13);

/** By definition: each token's logits in a conversation of its window alone; `null` if rounding decides them. */
async function recomputed(
  path: string,
  tokens: readonly number[],
  { rows, ...of }: {
    window: number;
    boundaries?: readonly number[];
    rows?: RowDefinition | undefined;
  },
): Promise<(Float64Array | null)[]> {
  const reference = await DecoderReference.read(path);
  return tokens.map((_, p) => {
    const attended = attendedPositions(p, { sinks: 0, ...of });
    return reference.start({ sinks: 0, window: Infinity }, rows)
      .expect(attended.map((q) => tokens[q]!)).at(-1)!;
  });
}

/** Adds the tests of one engine. */
export function recomputeContractTests(
  engine: TestedEngine,
  { absent, tokens: count, brief = false, tolerance }: RecomputeContractOptions,
): void {
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({
      name: `${engine.name} decoder that recomputes ${name}`,
      ignore: typeof absent === "string",
      fn,
    });
  const open = async (path: Awaited<ReturnType<typeof writeSmallModel>>) => {
    const opened = { layout: LAYOUT, slots: 3, chunk: CHUNK };
    const { decoder, faults } = await engine.open(path, opened);
    return {
      decoder: new RecomputingDecoder(decoder),
      faults,
      [Symbol.asyncDispose]: () => decoder.release(),
    };
  };
  const tokens = randomTokens(count);
  const { rows } = engine;

  test("gives the logits of each window alone, in chunks of any size", async () => {
    await using model = await writeSmallModel();
    await using opened = await open(model);
    const { decoder } = opened;
    for (const window of brief ? [6] : [13, 6, 1]) {
      for (const boundaries of [[], randomBoundaries(count, 2 * window)]) {
        const of = { window, boundaries, rows };
        const expected = await recomputed(model.path, tokens, of);
        for (const size of brief ? [3] : [1, 3, CHUNK]) {
          decoder.open(0, new RecomputedWindow(window));
          const actual = await appendAll(decoder, tokens, { size, boundaries });
          const what = `${window} by ${size}, ${boundaries.length} messages`;
          assertLogits(actual, expected, tolerance, `${engine.name}, ${what}`);
        }
      }
    }
  });

  if (brief) return;

  test("leaves other slots to themselves, and is left alone by them", async () => {
    await using model = await writeSmallModel();
    await using opened = await open(model);
    const { decoder } = opened;
    decoder.open(0, PLAIN);
    const plain = await appendAll(decoder, tokens, { size: 1 });
    decoder.open(0, POLICY);
    const recomputed = await appendAll(decoder, tokens, { size: 1 });
    decoder.open(0, PLAIN);
    for (const slot of [1, 2]) {
      decoder.open(slot, slot === 1 ? PLAIN : POLICY);
      await appendAll(decoder, [9, 8, 7], { size: 2, slot });
    }
    decoder.open(1, POLICY);
    const found: Float32Array[][] = [[], []];
    for (const token of tokens) {
      const rows = await decoder.run([
        { slot: 0, tokens: [token], logits: 1 },
        { slot: 2, tokens: [token, 5], logits: 2 },
        { slot: 1, tokens: [token], logits: 1 },
      ]);
      found[0]!.push(rows[0]!);
      found[1]!.push(rows[2]!);
    }
    assertLogits(found[0]!, plain, tolerance);
    assertLogits(found[1]!, recomputed, tolerance);
    assertEquals([0, 1, 2].map((slot) => decoder.seen(slot)), [
      count,
      count,
      2 * count + 3,
    ]);
  });

  test("goes on from a copy, or from where it is rewound to, as it would have gone on", async () => {
    await using model = await writeSmallModel();
    await using opened = await open(model);
    const { decoder } = opened;
    const boundaries = randomBoundaries(count, 9);
    const rest = { size: 2, boundaries };
    for (const told of [[], boundaries]) {
      const of = { window: 13, boundaries: told, rows };
      const expected = await recomputed(model.path, tokens, of);
      for (const copied of [0, 5, 13, 14, count - 3]) {
        decoder.open(0, POLICY);
        await appendAll(decoder, tokens.slice(0, copied), {
          size: 4,
          boundaries: told,
        });
        const copy = decoder.save(0);
        assertEquals([copy.seen, copy.policy], [copied, POLICY]);
        for (const slot of [1, 0]) {
          decoder.open(slot, PLAIN);
          await appendAll(decoder, [1, 2, 3], { size: 3, slot });
          await decoder.restore(slot, copy);
          assertEquals(decoder.seen(slot), copied);
          const actual = await appendAll(decoder, tokens.slice(copied), {
            ...rest,
            boundaries: told,
            slot,
          });
          const what = `copied after ${copied}`;
          assertLogits(actual, expected.slice(copied), tolerance, what);
        }
      }
    }
    const expected = await recomputed(model.path, tokens, { window: 13, rows });
    for (const left of [0, 4, 13]) {
      decoder.open(0, POLICY);
      const taken = randomTokens(13 - left, undefined, 9);
      await appendAll(decoder, tokens.slice(0, left), { size: 4 });
      await appendAll(decoder, taken, { size: 4 });
      decoder.rewind(0, left);
      const actual = await appendAll(decoder, tokens.slice(left), { size: 2 });
      assertLogits(actual, expected.slice(left), tolerance, `from ${left} on`);
      assertThrows(() => decoder.rewind(0, 13), RangeError, "Cannot rewind");
      decoder.rewind(0, count);
    }
    decoder.open(0, POLICY);
    await appendAll(decoder, tokens.slice(0, 10), { size: 5 });
    decoder.rewind(0, 2);
    const [row] = await decoder.run([
      { slot: 0, tokens: tokens.slice(10, 15), logits: 1 },
    ]);
    const other = [...tokens.slice(0, 2), ...tokens.slice(10, 15)];
    const fresh = await recomputed(model.path, other, { window: 13, rows });
    assertLogits([row!], [fresh.at(-1)!], tolerance, "other tokens");
    decoder.open(0, POLICY);
    await appendAll(decoder, tokens, { size: 5 });
    const plain = decoder.save(0);
    decoder.open(1, PLAIN);
    await appendAll(decoder, tokens, { size: 3, slot: 1 });
    await decoder.restore(0, decoder.save(1));
    assertEquals(decoder.save(0).policy, PLAIN);
    await assertRejects(
      () => decoder.restore(7, plain),
      RangeError,
      "slot 7",
    );
  });

  test("changes no slot if a run fails or is refused", async () => {
    await using model = await writeSmallModel();
    await using opened = await open(model);
    const { decoder, faults } = opened;
    const expected = await recomputed(model.path, tokens, { window: 13, rows });
    decoder.open(0, POLICY);
    decoder.open(1, PLAIN);
    const found: Float32Array[] = [];
    for (const [at, token] of tokens.entries()) {
      const chunks = (token: number, more: number[] = []) => [
        { slot: 1, tokens: [token], logits: 0 },
        { slot: 0, tokens: [token, ...more], logits: 1 + more.length },
      ];
      for (const runs of [0, 1, 3]) {
        faults.failAfter = runs;
        const before = faults.runs;
        // Other tokens than those that stay.
        const failing = decoder.run(chunks((token + 1) % 96, [7, 8]));
        const failed = await failing.then(() => false, () => true);
        faults.failAfter = Infinity;
        assert(failed || runs > 0);
        if (failed) assertEquals(faults.runs, before + runs);
        if (failed) assertEquals([0, 1].map((s) => decoder.seen(s)), [at, at]);
        if (!failed) {
          decoder.open(0, POLICY);
          decoder.open(1, PLAIN);
          const again = tokens.slice(0, at);
          await appendAll(decoder, again, { size: 5 });
          await appendAll(decoder, again, { size: 5, slot: 1 });
        }
      }
      found.push((await decoder.run(chunks(token)))[1]!);
    }
    assertLogits(found, expected, tolerance);
    const run = (chunk: number[], logits = 0) => () =>
      decoder.run([{ slot: 0, tokens: chunk, logits }]);
    await assertRejects(run([]), RangeError, "0 tokens");
    await assertRejects(run(randomTokens(CHUNK + 1)), RangeError, "6 tokens");
    await assertRejects(run([1, 96]), RangeError, "token 96");
    await assertRejects(run([1], 2), RangeError, "2 tokens of 1");
    assertThrows(
      () => decoder.open(0, new RecomputedWindow(14)),
      RangeError,
      "14 tokens",
    );
    assertEquals(decoder.seen(0), count);
  });

  test("runs what it must: a token below its window, a window past it, nothing that nobody asks for", async () => {
    await using model = await writeSmallModel();
    await using opened = await open(model);
    const { decoder, faults } = opened;
    const runs = async (
      tokens: number[],
      of: { logits?: number; starts?: number[] } = {},
    ) => {
      const before = faults.runs;
      await decoder.run([{ slot: 0, tokens, logits: 1, ...of }]);
      return faults.runs - before;
    };
    decoder.open(0, POLICY);
    assertEquals(await runs([1, 2, 3, 4]), 1);
    assertEquals(await runs([5]), 1);
    assertEquals(await runs([6, 7, 8, 9], { logits: 0 }), 1);
    assertEquals(await runs([1, 2, 3, 4]), 1);
    const windowRuns = Math.ceil(13 / CHUNK);
    assertEquals(await runs([5]), windowRuns);
    assertEquals(await runs([6, 7], { logits: 2 }), 2 * windowRuns);
    assertEquals(await runs([1, 2, 3, 4, 5], { logits: 0 }), 0);
    assertEquals(await runs([6]), windowRuns);
    // A copy has rows as long as they are of use.
    const copyAfter = async (tokens: number[]) => {
      decoder.open(0, POLICY);
      await appendAll(decoder, tokens, { size: CHUNK });
      return decoder.save(0);
    };
    const [short, long] = [
      await copyAfter(randomTokens(9)),
      await copyAfter(randomTokens(14)),
    ];
    const row = decoder.tokenBytes;
    assert(
      short.bytes > 9 * row && short.bytes < decoder.slotBytes,
      `${short.bytes}`,
    );
    assertEquals(long.bytes, 13 * 8);
    await decoder.restore(0, short);
    assertEquals(await runs([7]), 1);
    await decoder.restore(0, long);
    assertEquals(await runs([7]), windowRuns);
    // Windows that begin at a message are recomputed when that leaves, alone.
    decoder.open(0, POLICY);
    const starts = [0];
    for (const logits of [0, 0, 0]) {
      await runs([1, 2, 3, 4], { logits, starts });
    }
    await runs([5]); // 13 tokens
    assertEquals(await runs([6]), 2); // messages at 4 and 8: 10 tokens are left
    for (const token of [7, 8, 9]) assertEquals(await runs([token]), 1);
  });

  test("gives each chunk the token that its sampler chooses from its window", async () => {
    await using model = await writeSmallModel();
    await using opened = await open(model);
    const { decoder } = opened;
    const expected = await recomputed(model.path, tokens, { window: 13, rows });
    decoder.open(0, POLICY);
    decoder.open(1, PLAIN);
    for (const [at, token] of tokens.entries()) {
      const sampler = () =>
        createSampler({ temperature: 0 }, decoder.vocabulary);
      const [plain, sample] = await decoder.sample([
        { slot: 1, tokens: [token], sampler: sampler() },
        { slot: 0, tokens: [token], sampler: sampler() },
      ]);
      assert(plain!.status === "fulfilled" && sample?.status === "fulfilled");
      const logits = expected[at];
      if (!logits) continue;
      const gap = Math.max(...logits) - logits[sample.value.token]!;
      assert(gap <= tolerance, `token ${at} is ${gap} below the best`);
    }
    assertEquals([decoder.seen(0), decoder.seen(1)], [count, count]);
  });
}
