import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
} from "@std/assert";
import fc from "fast-check";
import { join } from "node:path";
import { linearAxis, logAxis } from "../../../bench/lab/axis.ts";
import {
  type CurvePoint,
  type CurveRecord,
  readCurve,
} from "../../../bench/lab/curve_record.ts";
import {
  curvePlot,
  curveTable,
  renderCurvePage,
} from "../../../bench/lab/curve_report.ts";
import { summarizeCurve } from "../../../bench/lab/curve_summary.ts";
import { renderPlot } from "../../../bench/lab/plot_svg.ts";
import { renderTables } from "../../../bench/lab/tables.ts";

/** A cache with which every token costs `ln perplexity`, but two of four a little more or less. */
function point(
  label: string,
  { mebibytes, perplexity, ...of }:
    & Pick<CurvePoint, "kvBits" | "lazyLayers">
    & { mebibytes: number; perplexity: number },
): CurvePoint {
  const plain = label === "32 bits";
  return {
    label,
    ...of,
    cacheBytes: mebibytes * 2 ** 20,
    losses: plain
      ? Array(4).fill(Math.log(perplexity))
      : [0.1, -0.1, 0, 0].map((more) => Math.log(perplexity) + more),
    divergences: plain ? [] : [0.1, 0.2, 0.3, 0.2],
    agreements: plain ? [] : [1, 1, 0, 1],
    stepMs: [9, 12, 10],
  };
}

const RECORD: CurveRecord = {
  schema: 1,
  machine: {
    date: "2026-01-01T00:00:00.000Z",
    cpu: "a CPU",
    cores: 2,
    platform: "linux x86_64",
    deno: "2",
    onnxRuntime: "1",
    model: "small",
    sha256: "0".repeat(64),
    engine: "native",
    reason: "a test",
    threads: 1,
  },
  text: "a <b> & c.txt",
  places: [5],
  tokens: 8,
  prompt: 4,
  fullBytes: 50 * 2 ** 20,
  points: [
    point("32 bits", {
      kvBits: 32,
      lazyLayers: 0,
      mebibytes: 100,
      perplexity: 20,
    }),
    point("4 bits", {
      kvBits: 4,
      lazyLayers: 0,
      mebibytes: 20,
      perplexity: 20.4,
    }),
    point("15 lazy", {
      kvBits: 32,
      lazyLayers: 15,
      mebibytes: 60,
      perplexity: 21,
    }),
    point("15 lazy, 4 bits", {
      kvBits: 4,
      lazyLayers: 15,
      mebibytes: 10,
      perplexity: 22,
    }),
  ],
};

Deno.test("a curve's figures are against plain rows in all layers, on the same tokens", () => {
  const [plain, bits, lazy, both] = summarizeCurve(RECORD).points;
  assertEquals([plain!.saving, both!.saving], [0.5, 5]);
  assertEquals([plain!.change, plain!.kl, plain!.agreement], [
    null,
    null,
    null,
  ]);
  assertAlmostEquals(bits!.perplexity, 20.4, 1e-9);
  assertAlmostEquals(bits!.change!.ratio, 1.02, 1e-9);
  // Differences of ±0.1, 0 and 0 around their mean: a variance of 0.02 / 3.
  const error = Math.sqrt(0.02 / 3 / 4);
  assertAlmostEquals(lazy!.change!.standardError, 1.05 * error, 1e-9);
  assertAlmostEquals(both!.kl!, 0.2, 1e-9);
  assertEquals([both!.agreement, both!.stepMs], [0.75, 10]);
});

Deno.test("the curve's table says bytes, change and distance", () => {
  const text = renderTables([curveTable(summarizeCurve(RECORD))]);
  const row = text.split("\n").find((line) => line.startsWith("15 lazy, 4"))!;
  assertEquals(row.split(/ {2,}/), [
    "15 lazy, 4 bits",
    "10.0",
    "5.00 ×",
    "22.000",
    "10.00 %",
    "4.49 %",
    "0.2000",
    "75.0 %",
    "10.0",
  ]);
  assert(text.includes("the 50.0 MiB of rows of 16 bits"));
});

Deno.test("the curve has a line for bits, one for lazy layers, and dots for both", () => {
  const { x, names, lines, mark } = curvePlot(summarizeCurve(RECORD));
  assertEquals(x, [10, 20, 60, 100]);
  assertEquals(names![0], "15 lazy, 4 bits");
  assertEquals(
    lines.map(({ label, dots, values }) => [
      label,
      dots,
      values.map((value) => value !== null),
    ]),
    [
      ["fewer bits", "joined", [false, true, false, true]],
      ["lazy layers", "joined", [false, false, true, true]],
      ["both", "alone", [true, false, false, false]],
    ],
  );
  assertEquals(mark!.x, 10);
  const alone = curvePlot(
    summarizeCurve({ ...RECORD, points: RECORD.points.slice(0, 2) }),
  );
  assertEquals(alone.lines.length, 2);
});

Deno.test("the curve's picture and page have each cache's name and refer to nothing outside", () => {
  const summary = summarizeCurve(RECORD);
  const svg = renderPlot(curvePlot(summary));
  const html = renderCurvePage(summary);
  for (const { label } of RECORD.points) {
    assert(svg.includes(`>${label}</text>`), label);
    assert(html.includes(`<td>${label}</td>`), label);
  }
  assertEquals(svg.match(/<polyline/g)?.length, 2);
  assertEquals(svg.match(/<circle/g)?.length, 5); // the first is on both lines
  assert(svg.includes("a fifth of rows of 16 bits"));
  const aim = { ...summary, fullBytes: 2 * 2 ** 20 }; // less than any cache has
  const [, at] = /M([\d.-]+) \d+V/.exec(renderPlot(curvePlot(aim)))!;
  assert(Number(at) > 56); // right of the axis
  for (const text of [svg, html]) {
    assert(text.includes("a &lt;b&gt; &amp; c.txt"));
    assert(!/["'(]\s*https?:\/\/(?!www.w3.org)/.test(text));
  }
  assert(!/NaN|undefined|Infinity/.test(svg));
});

Deno.test("an axis goes from 0 to 1 and names a few values between", () => {
  const ends = fc.tuple(
    fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
    fc.double({ min: 1.05, max: 1e4, noNaN: true }),
  );
  fc.assert(fc.property(ends, ([low, ratio]) => {
    const high = low * ratio;
    const linear = linearAxis(low, high);
    assert(linear.ticks.length >= 2 && linear.ticks.length <= 9);
    for (const { share, ticks } of [linear, logAxis(low, high, { base: 2 })]) {
      assertAlmostEquals(share(low), 0, 1e-9);
      assertAlmostEquals(share(high), 1, 1e-9);
      for (const [i, tick] of ticks.entries()) {
        assert(share(tick) > -1e-3 && share(tick) < 1 + 1e-3);
        assert(i === 0 || tick > ticks[i - 1]!);
      }
    }
  }));
});

Deno.test("a file that is no curve is not read", async () => {
  const directory = await Deno.makeTempDir({ prefix: "everstream-curve-" });
  try {
    const path = join(directory, "curve.json");
    await Deno.writeTextFile(path, JSON.stringify({ schema: 1, streams: [] }));
    await assertRejects(() => readCurve(path), TypeError, "no curve");
    await Deno.writeTextFile(path, JSON.stringify(RECORD));
    assertEquals(await readCurve(path), RECORD);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
