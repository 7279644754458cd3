import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { join } from "node:path";
import { curveOn, measureCurve } from "../../../bench/lab/curve.ts";
import { curveCaches, curveChunks } from "../../../bench/lab/curve_caches.ts";
import {
  CURVE_USAGE,
  parseCurveOptions,
} from "../../../bench/lab/curve_options.ts";
import type { CurveRecord } from "../../../bench/lab/curve_record.ts";
import { perplexity } from "../../../bench/lab/series.ts";
import { STEPS } from "../../../bench/lab/policy_stream.ts";
import { lazyWindow } from "../../../lib/cache/lazy_layers.ts";
import { readConfig } from "../../../lib/config.ts";
import { SMALL } from "../../reference/small_model.ts";
import { recordingModel, writeSmallBenchModel } from "../small_bench_model.ts";

function parse(line: string) {
  return parseCurveOptions(line.split(" "));
}

Deno.test("a curve is of all bits and some shares of the layers unless others are asked for", () => {
  const options = parse("--text book.txt");
  assertEquals([options.tokens, options.prompt, options.places], [
    4096,
    2048,
    1,
  ]);
  assertEquals([options.bits, options.lazy], [[32, 16, 8, 4], undefined]);
  const { bits, lazy } = parse("--text a --bits 4 --lazy 9,3");
  assertEquals([bits, lazy], [[4], [3, 9]]);
  assert(parse("--render").render);
});

Deno.test("a wrong command line of the curve is an error that names what it may be", () => {
  const cases: [string, string][] = [
    ["--tokens 100", "give --text"],
    ["--text a --tokens 63", "from 64"],
    ["--text a --tokens 100 --prompt 100", "shorter --prompt"],
    ["--text a --prompt 0", "--prompt"],
    ["--text a --bits 3", "known are 32, 16, 8, 4"],
    ["--text a --lazy 0", "--lazy"],
    ["--text a --places 0", "--places"],
    ["--text a --windows 9", "--windows"],
  ];
  for (const [line, message] of cases) {
    assertThrows(() => parse(line), Error, message);
  }
  const names =
    "text skip tokens prompt places bits lazy engine out svg render help";
  for (const name of names.split(" ")) {
    assert(CURVE_USAGE.includes(`--${name}`), name);
  }
});

Deno.test("every cache of a curve holds as many tokens; plain rows in all layers are the first", () => {
  const caches = curveCaches(100, { bits: [16, 4], lazy: [2] });
  assert(caches.every(({ policy }) => policy.capacity === 100));
  assertEquals(
    caches.map(({ format, lazyLayers }) => [
      format.kvBits,
      format.layered,
      lazyLayers,
    ]),
    [
      [32, false, 0],
      [16, false, 0],
      [4, false, 0],
      [32, true, 2],
      [16, true, 2],
      [4, true, 2],
    ],
  );
});

Deno.test("chunks read all tokens but the last, and score just those behind the prompt", () => {
  const sizes = fc.tuple(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 80 }),
  );
  fc.assert(fc.property(sizes, ([prompt, rest, most]) => {
    const tokens = prompt + rest;
    const predicted: number[] = [];
    let at = 0;
    for (const { count, scored } of curveChunks({ tokens, prompt, most })) {
      assert(count >= 1 && count <= most && scored <= count);
      at += count;
      for (let i = scored; i > 0; i--) predicted.push(at - i + 1);
    }
    assertEquals(at, tokens - 1);
    const behind = Array.from({ length: rest }, (_, i) => prompt + i);
    assertEquals(predicted, behind);
  }));
});

/** Runs `work` with a file of some words in a directory of its own. */
async function withBook(
  work: (book: string, directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "everstream-curve-" });
  try {
    const book = join(directory, "book.txt");
    const words = Array.from({ length: 900 }, (_, i) => `hello ${i * i} user `);
    await Deno.writeTextFile(book, words.join(""));
    await work(book, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("all caches are read in the same chunks, at each place of the text", async () => {
  await withBook(async (book) => {
    const model = recordingModel(16);
    const kept: CurveRecord[] = [];
    const record = await curveOn(
      model,
      parse(
        `--text ${book} --tokens 64 --prompt 40 --places 2 --bits 4 --lazy 3`,
      ),
      {
        onRecord: (record) => Promise.resolve(void kept.push(record)),
        onProgress: () => {},
      },
    );
    const { size } = await Deno.stat(book);
    assertEquals(record.places, [0, Math.floor(size / 2)]);
    assertEquals(kept.map(({ places }) => places.length), [1, 2]);
    assertEquals(kept.at(-1), record);
    assertEquals(model.decoders.length, 2 * 4);
    const lengths = [16, 16, 8, 16, 7, ...Array<number>(STEPS).fill(1)];
    for (const { runs } of model.decoders) {
      assertEquals(runs.map(({ tokens }) => tokens.length), lengths);
    }
    const textOf = (decoder: number) =>
      model.decoders[decoder]!.runs.flatMap(({ tokens }) => tokens);
    assertEquals(textOf(0), textOf(3));
    assert(textOf(0).join() !== textOf(4).join());
    assertEquals(record.fullBytes, 10 / 2 * 64);
    assertEquals(
      record.points.map(({ label, cacheBytes, losses, divergences, ...of }) => [
        label,
        cacheBytes,
        losses.length,
        divergences.length,
        of.agreements.length,
        of.stepMs.length,
      ]),
      [
        ["32 bits", 1000, 48, 0, 0, 2],
        ["4 bits", 1000, 48, 48, 48, 2],
        ["3 lazy", 1000, 48, 48, 48, 2],
        ["3 lazy, 4 bits", 1000, 48, 48, 48, 2],
      ],
    );
    // The same model each time: the same losses, at no distance.
    const [plain, ...others] = record.points;
    for (const { losses, divergences, agreements } of others) {
      assertEquals(losses, plain!.losses);
      assert(divergences.every((value) => Math.abs(value) < 1e-5));
      assert(agreements.every((value) => value === 1));
    }
  });
});

Deno.test("the curve of a small model: fewer bytes, and not the same losses", async () => {
  await withBook(async (book, directory) => {
    const config = readConfig(
      new Map([
        ["EVERSTREAM_MODEL", await writeSmallBenchModel(directory)],
        ["EVERSTREAM_MODELS", directory],
        ["EVERSTREAM_ENGINE", "native"],
        ["EVERSTREAM_THREADS", "1"],
      ]),
    );
    const sink = { onRecord: () => Promise.resolve(), onProgress: () => {} };
    const options = parse(
      `--text ${book} --tokens 400 --prompt 200 --bits 8 --lazy 1`,
    );
    const { points } = await measureCurve(config, options, sink);
    const [plain, coded, lazy, both] = points;
    assertEquals(points.map(({ losses }) => losses.length), [
      200,
      200,
      200,
      200,
    ]);
    assert(lazy!.cacheBytes < plain!.cacheBytes);
    assert(both!.cacheBytes < coded!.cacheBytes);
    const spared = 400 - 4 - lazyWindow(400 - 4);
    assertEquals(
      plain!.cacheBytes - lazy!.cacheBytes,
      plain!.cacheBytes / 400 / SMALL.layers * spared,
    );
    for (const { losses } of [coded!, lazy!, both!]) {
      assert(losses.some((loss, i) => loss !== plain!.losses[i]));
      assertAlmostEquals(
        perplexity(losses) / perplexity(plain!.losses),
        1,
        0.1,
      );
    }
    const short = measureCurve(config, { ...options, tokens: 20_000 }, sink);
    await assertRejects(() => short, RangeError, "20031 tokens");
    const many = measureCurve(config, { ...options, lazy: [99] }, sink);
    await assertRejects(() => many, RangeError, "Cannot make 99 layers lazy");
  });
});
