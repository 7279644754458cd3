/**
 * What every engine's decoder must do with many conversations at once (the cache contract, points 3
 * and 7): whoever else is in the batch, joins it, leaves it, moves or fails, each one's logits are
 * those that it has alone.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { DecodeChunk, Snapshot } from "../../lib/decoder/decoder.ts";
import {
  createSampler,
  type Sampler,
  type SamplerOptions,
} from "../../lib/sampling/mod.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import {
  randomBoundaries,
  randomTokens,
  writeSmallModel,
} from "../reference/small_model.ts";
import {
  appendAll,
  assertLogits,
  type OpenDecoder,
  openDecoder,
  startsAmong,
  type TestedEngine,
} from "./open.ts";

/** How far an engine is tested. */
export interface BatchContractOptions {
  /** Why the engine cannot be tested here; `null` if it can. */
  readonly absent?: string | null;
  /** Random schedules, and steps of each at most. */
  readonly runs: number;
  readonly steps: number;
  /** After how many tokens conversations are copied. */
  readonly copied: readonly number[];
  /** Largest rounding error of a logit. */
  readonly tolerance: number;
  /** Likewise, of a conversation that goes on in another slot, or beside others. */
  readonly moved: number;
}

const SLOTS = 6;
const LAYOUT = { sinkRows: 4, blocks: [4, 9] };
const POLICY = new SinkWindow(4, 13);

/** What happens to one slot before a step, or in it. */
type Action =
  | { do: "open"; policy: SinkWindow; messages: boolean }
  | { do: "append"; count: number }
  | { do: "move"; to: number }
  | { do: "leave" };

const policies = fc.record({
  sinks: fc.nat(4),
  window: fc.integer({ min: 1, max: 13 }),
}).map(({ sinks, window }) => new SinkWindow(sinks, window));

const appending = (count: number): Action => ({ do: "append", count });

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("open" as const),
      policy: policies,
      messages: fc.boolean(),
    }),
  },
  { weight: 12, arbitrary: fc.constant(appending(1)) },
  { weight: 2, arbitrary: fc.integer({ min: 2, max: 9 }).map(appending) },
  {
    weight: 1,
    arbitrary: fc.nat(SLOTS - 1).map((to): Action => ({ do: "move", to })),
  },
  { weight: 1, arbitrary: fc.constant<Action>({ do: "leave" }) },
);

/** A conversation, and what it was given and gave. */
interface Conversation {
  readonly policy: SinkWindow;
  readonly tokens: readonly number[];
  /** Positions at which messages begin, if its windows do. */
  readonly boundaries: readonly number[];
  readonly cuts: number[];
  readonly logits: Float32Array[];
}

/** Plays a schedule; gives all conversations that it had. */
async function play(
  decoder: OpenDecoder,
  schedule: readonly (readonly Action[])[],
): Promise<Conversation[]> {
  const all: Conversation[] = [];
  const slots: (Conversation | null)[] = Array(SLOTS).fill(null);
  const open = (slot: number, policy: SinkWindow, messages: boolean) => {
    decoder.open(slot, policy);
    const most = schedule.length * 9;
    const tokens = randomTokens(most, undefined, all.length);
    const boundaries = messages ? randomBoundaries(most, 9, all.length) : [];
    all.push(
      slots[slot] = { policy, tokens, boundaries, cuts: [], logits: [] },
    );
  };
  for (let slot = 0; slot < SLOTS; slot++) open(slot, POLICY, slot % 2 === 0);
  for (const actions of schedule) {
    const chunks: DecodeChunk[] = [];
    for (const [slot, action] of actions.entries()) {
      const conversation = slots[slot] ?? null;
      if (action.do === "open") {
        open(slot, action.policy, action.messages);
      } else if (action.do === "leave") {
        slots[slot] = null;
      } else if (action.do === "move" && conversation && !slots[action.to]) {
        const snapshot = decoder.save(slot);
        decoder.open(slot, POLICY);
        await decoder.restore(action.to, snapshot);
        [slots[slot], slots[action.to]] = [null, conversation];
      }
    }
    for (const [slot, action] of actions.entries()) {
      const conversation = slots[slot];
      if (action.do !== "append" || !conversation) continue;
      const count = Math.min(action.count, decoder.limit(slot));
      const seen = decoder.seen(slot);
      const tokens = conversation.tokens.slice(seen, seen + count);
      const starts = startsAmong(conversation.boundaries, seen, count);
      chunks.push({ slot, tokens, starts, logits: count });
    }
    const results = await decoder.run(chunks);
    for (const [i, { slot, tokens }] of chunks.entries()) {
      const { cuts, logits } = slots[slot]!;
      cuts.push(tokens.length);
      const size = decoder.vocabulary;
      for (let row = 0; row < tokens.length; row++) {
        logits.push(results[i]!.slice(row * size, (row + 1) * size));
      }
    }
  }
  return all;
}

/** Adds the tests of one engine. */
export function batchContractTests(
  engine: TestedEngine,
  { absent, runs, steps, copied, tolerance, moved }: BatchContractOptions,
): void {
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({
      name: `${engine.name} decoder ${name}`,
      ignore: typeof absent === "string",
      fn,
    });

  test("gives each conversation its own logits, whoever joins, leaves or moves", async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: SLOTS };
    await using decoder = await openDecoder(engine, model, opened);
    await using alone = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const reference = await DecoderReference.read(model.path);
    let tokens = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.array(action, { minLength: SLOTS, maxLength: SLOTS }),
          { minLength: steps / 2, maxLength: steps },
        ),
        async (schedule) => {
          for (const conversation of await play(decoder, schedule)) {
            const { policy, boundaries, cuts, logits } = conversation;
            alone.open(0, policy);
            const expected: Float32Array[] = [];
            for (const count of cuts) {
              const at = expected.length;
              const chunk = conversation.tokens.slice(at, at + count);
              expected.push(
                ...await appendAll(alone, chunk, { size: count, boundaries }),
              );
            }
            const { sinks, window } = policy;
            const by = { sinks, window, boundaries };
            const known = engine.rows
              ? reference.start(by, engine.rows)
                .expect(conversation.tokens.slice(0, expected.length))
              : expected;
            const compared = expected.map((row, i) => known[i] ? row : null);
            tokens += compared.filter((row) => row !== null).length;
            assertLogits(logits, compared, tolerance, `${engine.name}`);
          }
        },
      ),
      { numRuns: runs, seed: 4 },
    );
    assert(tokens > runs * steps, `only ${tokens} tokens were compared`);
  });

  test("runs neighbours in one run, whatever lies between them", async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: SLOTS };
    const tested = await engine.open(model, opened);
    await using decoder = tested.decoder;
    const { faults } = tested;
    const step = (slot: number) => ({ slot, tokens: [7], logits: 1 });
    for (let slot = 0; slot < SLOTS; slot++) decoder.open(slot, POLICY);
    await decoder.run([0, 1, 2, 3, 4, 5].map(step));
    assertEquals(faults.runs, 1);
    const [first, , , last] = await decoder.run([
      step(5),
      step(0),
      step(3),
      step(2),
    ]);
    assertEquals(faults.runs, 2);
    assertLogits([last!], [first!], tolerance);
    assertEquals([0, 1, 2, 3, 4, 5].map((slot) => decoder.seen(slot)), [
      2,
      1,
      2,
      2,
      1,
      2,
    ]);
  });

  test("goes on from a copy as it would have gone on, in any slot, as often as one likes", async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: 3 };
    await using decoder = await openDecoder(engine, model, opened);
    const [before, after] = [randomTokens(60), randomTokens(steps / 2, 96, 5)];
    for (const count of copied) {
      decoder.open(0, POLICY);
      await appendAll(decoder, before.slice(0, count), { size: 9 });
      const copy = decoder.save(0);
      assertEquals([copy.seen, copy.policy], [count, POLICY]);
      const expected = await appendAll(decoder, after, { size: 1 });
      for (const slot of [2, 1, 2]) {
        decoder.open(slot, POLICY);
        await appendAll(decoder, randomTokens(40), { size: 30, slot });
        await decoder.restore(slot, copy);
        assertEquals(decoder.seen(slot), count);
        const actual = await appendAll(decoder, after, { size: 1, slot });
        assertLogits(actual, expected, moved, `copied after ${count}`);
      }
    }
  });

  test("copies no more than what is in use, and refuses a copy that does not fit", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    decoder.open(0, POLICY);
    const sizes: number[] = [];
    const copies: Snapshot[] = [];
    for (const count of [0, 5, 12, 40]) {
      const tokens = randomTokens(count - decoder.seen(0));
      await appendAll(decoder, tokens, { size: 1 });
      const copy = decoder.save(0);
      sizes.push(copy.bytes);
      copies.push(copy);
    }
    // Sinks and the tail are copied whole, rows of 2 × 2 heads × 16 × f32 in 2 layers; of the ring 1, 8
    // and all 13 rows.
    const exact = (4 + (engine.rows?.tailRows ?? 0)) * 2 * 2 * 2 * 16 * 4;
    assertEquals(
      sizes,
      [0, 1, 8, 13].map((rows) => exact + rows * decoder.tokenBytes),
    );
    assert(sizes.at(-1)! <= decoder.slotBytes);
    await using other = await openDecoder(engine, model, {
      layout: { sinkRows: 4, blocks: [4, 8] },
    });
    other.open(0, new SinkWindow(2, 5));
    await appendAll(other, [1, 2, 3], { size: 1 });
    await assertRejects(
      () => other.restore(0, copies[1]!),
      RangeError,
      "13 tokens",
    );
    await using third = await openDecoder(engine, model, {
      layout: { sinkRows: 5, blocks: [4, 9] },
    });
    await assertRejects(
      () => third.restore(0, copies[1]!),
      RangeError,
      "4 + 13",
    );
    assertThrows(() => third.save(0), RangeError, "not open");
    assertEquals(other.seen(0), 3);
  });

  test("changes no slot if a batch fails", async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: SLOTS };
    const tested = await engine.open(model, opened);
    await using decoder = tested.decoder;
    const { faults } = tested;
    const slots = [0, 1, 4]; // two runs at least
    for (const slot of slots) decoder.open(slot, POLICY);
    const batch = (token: number) =>
      slots.map((slot) => ({
        slot,
        tokens: slot === 4 ? [token, 7] : [token + slot],
        logits: 1,
      }));
    const expected = await decoder.run(batch(1));
    for (const slot of slots) decoder.rewind(slot, 0);
    faults.failAfter = 1;
    await assertRejects(() => decoder.run(batch(9)), Error, "on purpose");
    faults.failAfter = Infinity;
    assertEquals(slots.map((slot) => decoder.seen(slot)), [0, 0, 0]);
    assertLogits(await decoder.run(batch(1)), expected, 0);
  });

  test("gives each chunk the token that its sampler chooses from its last logits", async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: SLOTS };
    const tested = await engine.open(model, opened);
    await using decoder = tested.decoder;
    const { faults } = tested;
    const chunks = [
      { slot: 0, tokens: [7] },
      { slot: 1, tokens: [5, 6, 7] },
      { slot: 3, tokens: [9] },
    ];
    const options: SamplerOptions[] = [
      { temperature: 0, topLogprobs: 2 },
      { seed: 1 },
      { seed: 2, temperature: 2, topK: 9, logitBias: new Map([[3, 1]]) },
    ];
    const samplers = () =>
      options.map((of) => createSampler(of, decoder.vocabulary));
    const seen = () => chunks.map(({ slot }) => decoder.seen(slot));
    const sample = async (samplers: readonly Sampler[]) => {
      for (const { slot } of chunks) decoder.open(slot, POLICY);
      return await decoder.sample(
        chunks.map((chunk, i) => ({ ...chunk, sampler: samplers[i]! })),
      );
    };
    for (const { slot } of chunks) decoder.open(slot, POLICY);
    const logits = await decoder.run(
      chunks.map((chunk) => ({ ...chunk, logits: 1 })),
    );
    const expected = samplers().map((of, i) => of.sample(logits[i]!));

    const retried = samplers();
    faults.failAfter = 1; // of two runs
    await assertRejects(() => sample(retried), Error, "on purpose");
    faults.failAfter = Infinity;
    assertEquals(seen(), [0, 0, 0]);
    const results = await sample(retried);
    assertEquals(seen(), [1, 3, 1]);
    for (const [i, result] of results.entries()) {
      assert(result.status === "fulfilled");
      const { token, logprobs } = expected[i]!;
      assertEquals(result.value.token, token);
      const told = result.value.logprobs;
      assertEquals(told?.top.length, logprobs?.top.length);
      assertLogits(
        [[told?.logprob ?? 0]],
        [[logprobs?.logprob ?? 0]],
        tolerance,
      );
    }

    const broken = samplers();
    broken[1]!.request = () => null;
    broken[1]!.sample = () => {
      throw new RangeError("no distribution");
    };
    const statuses = (await sample(broken)).map(({ status }) => status);
    assertEquals(statuses, ["fulfilled", "rejected", "fulfilled"]);
    assertEquals(seen(), [1, 3, 1]);
  });
}
