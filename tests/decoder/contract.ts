/**
 * What every engine's decoder must do (the cache contract, points 1 to 6 and 8), against the
 * reference in f64.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import {
  randomBoundaries,
  randomTokens,
  type SmallModelOptions,
  writeSmallModel,
} from "../reference/small_model.ts";
import {
  appendAll,
  assertLogits,
  openDecoder,
  type TestedEngine,
} from "./open.ts";

/** How far an engine is tested. */
export interface ContractOptions {
  /** Why the engine cannot be tested here; `null` if it can. */
  readonly absent?: string | null;
  /** Tokens past capacity of the long run, one by one. */
  readonly long: number;
  /** Tokens of the other runs. */
  readonly short: number;
  /** Of how many tokens of the long run logits must be known: where rows are encoded, those of others hang on a rounding. */
  readonly known?: number;
  /** Largest rounding error of a logit; logits are of order 5. */
  readonly tolerance: number;
}

const POLICY = new SinkWindow(4, 13);
const LAYOUT = { sinkRows: 4, blocks: [4, 9] };

const SHAPES: Record<string, Partial<SmallModelOptions>> = {
  "grouped queries": {},
  "one key head, tied head": { kvHeads: 1, tied: true },
  "a key head per query head, rope_freqs": { kvHeads: 4, ropeFactors: true },
  "half of each head rotated": { ropeDimensions: 8 },
  "linear scaling, three layers": {
    layers: 3,
    ropeScale: 4,
    ropeBase: 500_000,
  },
};

/** Adds the tests of one engine. */
export function contractTests(
  engine: TestedEngine,
  options: ContractOptions,
): void {
  const { long, short, tolerance } = options;
  /** Tokens behind which nothing has been overwritten. */
  const whole = POLICY.sinks +
    Math.min(POLICY.window, engine.rows?.tailRows ?? Infinity);
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({
      name: `${engine.name} decoder ${name}`,
      ignore: typeof options.absent === "string",
      fn,
    });

  for (const [shape, changes] of Object.entries(SHAPES)) {
    test(`gives the reference's logits in chunks of any size: ${shape}`, async () => {
      await using model = await writeSmallModel(changes);
      await using decoder = await openDecoder(engine, model, {
        layout: LAYOUT,
      });
      const tokens = randomTokens(short);
      const expected = (await DecoderReference.read(model.path)).start(
        POLICY,
        engine.rows,
      )
        .expect(tokens);
      for (const size of [1, 7, 64, Infinity]) {
        decoder.open(0, POLICY);
        const actual = await appendAll(decoder, tokens, { size });
        assertLogits(
          actual,
          expected,
          tolerance,
          `${engine.name}, ${shape}, chunks of ${size}`,
        );
      }
    });
  }

  test(`gives the reference's logits for ${long} tokens past capacity`, async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const tokens = randomTokens(POLICY.capacity + long);
    const expected = (await DecoderReference.read(model.path)).start(
      POLICY,
      engine.rows,
    )
      .expect(tokens);
    const known = expected.filter((logits) => logits !== null).length;
    assert(
      known >= (options.known ?? tokens.length),
      `only ${known} are known`,
    );
    decoder.open(0, POLICY);
    const actual = await appendAll(decoder, tokens, { size: 1 });
    assertLogits(
      actual,
      expected,
      tolerance,
      `${engine.name}, ${long} past capacity`,
    );
  });

  for (
    const [sinks, window] of [[0, 13], [1, 13], [4, 1], [0, 1], [3, 2], [
      2,
      9,
    ]] as const
  ) {
    test(`keeps to a policy smaller than its slot: ${sinks} sinks, window ${window}`, async () => {
      await using model = await writeSmallModel();
      await using decoder = await openDecoder(engine, model, {
        layout: LAYOUT,
      });
      const policy = new SinkWindow(sinks, window);
      const tokens = randomTokens(short);
      const expected = (await DecoderReference.read(model.path)).start(
        policy,
        engine.rows,
      )
        .expect(tokens);
      for (const size of [1, 5, Infinity]) {
        decoder.open(0, policy);
        const actual = await appendAll(decoder, tokens, { size });
        assertLogits(
          actual,
          expected,
          tolerance,
          `${engine.name}, ${sinks} + ${window} by ${size}`,
        );
      }
    });
  }

  test("begins windows at messages, if it is told of them, also when it goes on from a copy", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const reference = await DecoderReference.read(model.path);
    const tokens = randomTokens(short);
    const half = short / 2;
    for (
      const [sinks, window, sizes] of [
        [4, 13, [1, Infinity]],
        [0, 9, [7]],
        [3, 1, [7]],
      ] as const
    ) {
      const policy = new SinkWindow(sinks, window);
      const boundaries = randomBoundaries(short, 2 * window);
      const expected = reference.start(
        { sinks, window, boundaries },
        engine.rows,
      )
        .expect(tokens);
      for (const size of sizes) {
        const options = { size, boundaries };
        decoder.open(0, policy);
        const actual = await appendAll(decoder, tokens.slice(0, half), options);
        const copy = decoder.save(0);
        decoder.open(0, POLICY);
        await decoder.restore(0, copy);
        actual.push(...await appendAll(decoder, tokens.slice(half), options));
        assertLogits(
          actual,
          expected,
          tolerance,
          `${engine.name}, messages in ${sinks} + ${window} by ${size}`,
        );
      }
    }
  });

  test("forgets messages that it is rewound to before", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const tokens = randomTokens(40);
    // Rewound to before the last two of these.
    const told = [0, whole - 6, whole - 5, whole - 1];
    const kept = [0, whole - 6, 25, 26];
    const left = whole - 5;
    const expected = (await DecoderReference.read(model.path))
      .start({ sinks: 4, window: 13, boundaries: kept }, engine.rows).expect(
        tokens,
      );
    decoder.open(0, POLICY);
    const before = await appendAll(decoder, tokens.slice(0, whole), {
      size: 5,
      boundaries: told,
    });
    decoder.rewind(0, left);
    const after = await appendAll(decoder, tokens.slice(left), {
      size: 5,
      boundaries: kept,
    });
    assertLogits([...before.slice(0, left), ...after], expected, tolerance);
  });

  test("attends all tokens until capacity is reached", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const tokens = randomTokens(POLICY.capacity);
    const full = { sinks: 4, window: Infinity };
    const expected = (await DecoderReference.read(model.path)).start(
      full,
      engine.rows,
    )
      .expect(tokens);
    for (
      const [size, boundaries] of [[1, [6]], [3, []], [Infinity, [6]]] as const
    ) {
      decoder.open(0, POLICY);
      assertLogits(
        await appendAll(decoder, tokens, { size, boundaries }),
        expected,
        tolerance,
      );
    }
  });

  test("gives the same bits whoever was in the slot and whoever steps in between", async () => {
    await using model = await writeSmallModel();
    const [tokens, others] = [randomTokens(40), randomTokens(60, undefined, 8)];
    await using alone = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    alone.open(0, POLICY);
    const expected = await appendAll(alone, tokens, { size: 2 });

    await using shared = await openDecoder(engine, model, {
      layout: LAYOUT,
      slots: 3,
    });
    for (const slot of [0, 1, 2]) {
      shared.open(slot, POLICY);
      await appendAll(shared, others, { size: 30, slot });
    }
    shared.open(1, POLICY);
    const actual: Float32Array[] = [];
    for (let at = 0; at < tokens.length; at += 2) {
      const rows = await shared.run([
        { slot: 0, tokens: [others[at]!], logits: 1 },
        { slot: 1, tokens: tokens.slice(at, at + 2), logits: 2 },
        { slot: 2, tokens: others.slice(at, at + 3), logits: 0 },
      ]);
      for (const row of [0, 1]) {
        actual.push(
          rows[1]!.subarray(
            row * shared.vocabulary,
            (row + 1) * shared.vocabulary,
          ),
        );
      }
    }
    assertLogits(actual, expected, 0);
    assertEquals(shared.seen(0), others.length + tokens.length / 2);
  });

  test("refuses a policy that does not fit, and leaves the slot as it was", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const tokens = randomTokens(30);
    const expected = (await DecoderReference.read(model.path)).start(
      POLICY,
      engine.rows,
    )
      .expect(tokens);
    decoder.open(0, POLICY);
    const first = await appendAll(decoder, tokens.slice(0, 25), { size: 1 });
    assertThrows(
      () => decoder.open(0, new SinkWindow(5, 1)),
      RangeError,
      "5 sinks",
    );
    assertThrows(
      () => decoder.open(0, new SinkWindow(0, 14)),
      RangeError,
      "14 tokens",
    );
    assertThrows(() => decoder.open(1, POLICY), RangeError, "slot 1");
    const rest = await appendAll(decoder, tokens.slice(25), { size: 1 });
    assertLogits([...first, ...rest], expected, tolerance);
  });

  test("changes nothing if a run fails or is refused", async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: 2, chunk: 20 };
    const tested = await engine.open(model, opened);
    await using decoder = tested.decoder;
    const { faults } = tested;
    const tokens = randomTokens(30);
    const expected = (await DecoderReference.read(model.path)).start(
      POLICY,
      engine.rows,
    )
      .expect(tokens);
    decoder.open(0, POLICY);
    const first = await appendAll(decoder, tokens.slice(0, 25), { size: 1 });
    const run = (chunk: number[], slot = 0) => () =>
      decoder.run([{ slot, tokens: chunk, logits: 1 }]);
    faults.failAfter = 0;
    await assertRejects(run([1, 2, 3]), Error, "on purpose");
    faults.failAfter = Infinity;
    await assertRejects(run([]), RangeError, "0 tokens");
    await assertRejects(run(randomTokens(21)), RangeError, "21 tokens");
    await assertRejects(run([1, 96]), RangeError, "token 96");
    await assertRejects(run([1, -1]), RangeError, "token -1");
    await assertRejects(run([1], 1), RangeError, "not open");
    assertEquals(decoder.seen(0), 25);
    const rest = await appendAll(decoder, tokens.slice(25), { size: 1 });
    assertLogits([...first, ...rest], expected, tolerance);
  });

  test("refuses a chunk that reads sinks and reaches past capacity", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    decoder.open(0, POLICY);
    const run = (count: number) => () =>
      decoder.run([{ slot: 0, tokens: randomTokens(count), logits: 0 }]);
    if (engine.rows) { // a tail is shorter than that
      assertEquals(decoder.limit(0), engine.rows.tailRows);
      await assertRejects(run(engine.rows.tailRows + 1), RangeError);
      return;
    }
    await assertRejects(run(18), RangeError, "1 to 17");
    await run(3)();
    await assertRejects(run(15), RangeError, "1 to 14");
    await run(14)();
    await run(60)();
    assertEquals(decoder.seen(0), 77);
  });

  test("goes on from where it is rewound to, as long as nothing is overwritten", async () => {
    await using model = await writeSmallModel();
    await using decoder = await openDecoder(engine, model, {
      layout: LAYOUT,
    });
    const reference = await DecoderReference.read(model.path);
    const before = randomTokens(whole);
    const left = randomTokens(30, undefined, 9);
    for (const count of [0, 2, Math.ceil(whole / 2), whole]) {
      decoder.open(0, POLICY);
      await appendAll(decoder, before, { size: 4 });
      decoder.rewind(0, count);
      assertEquals(decoder.seen(0), count);
      const expected = reference.start(POLICY, engine.rows);
      expected.appendAll(before.slice(0, count));
      const actual = await appendAll(decoder, left, { size: 4 });
      assertLogits(
        actual,
        expected.expect(left),
        tolerance,
        `rewound to ${count}`,
      );
    }
    const refuse = (seen: number, counts: number[]) => {
      for (const count of counts) {
        assertThrows(
          () => decoder.rewind(0, count),
          RangeError,
          "Cannot rewind",
        );
        assertEquals(decoder.seen(0), seen);
      }
    };
    const seen = decoder.seen(0);
    decoder.rewind(0, seen);
    refuse(seen, [0, seen - 1, seen + 1]);
    decoder.open(0, POLICY);
    await appendAll(decoder, before, { size: 4 });
    refuse(whole, [whole + 1, -1, 0.5, NaN]);
    assert(decoder.rewindable(POLICY, whole));
    await appendAll(decoder, [5], { size: 1 });
    assert(!decoder.rewindable(POLICY, whole + 1));
    refuse(whole + 1, [0, 1, whole]);
  });
}
