import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertThrows,
} from "@std/assert";
import {
  comparePeerStreams,
  type PeerStreamsLine,
} from "../../bench/measurements/peer_streams.ts";
import { comparePeers, type PeerLine } from "../../bench/measurements/peers.ts";
import {
  type StreamSample,
  verdictOf,
} from "../../bench/measurements/stream.ts";
import { renderVerdict } from "../../bench/report.ts";
import {
  klDivergence,
  logSumExp,
  median,
  percentile,
  spreadOf,
} from "../../bench/statistics.ts";
import { formatTable } from "../../lib/program/table.ts";

Deno.test("a median is the middle value, or the mean of the two", () => {
  assertEquals(median([9, 1, 10]), 9);
  assertEquals(median([4, 1, 100, 2]), 3);
  assertThrows(() => median([]), RangeError);
});

Deno.test("a percentile is a value that so many do not exceed", () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i);
  assertEquals([0, 0.5, 0.99, 1].map((p) => percentile(values, p)), [
    1,
    100,
    198,
    200,
  ]);
  assertEquals(percentile([7], 0.99), 7);
  assertEquals(percentile([3, 1, 2], 0.5), 2);
  assertEquals(spreadOf(values), { p50: 100.5, p99: 198, max: 200 });
  assertThrows(() => percentile([], 0.5), RangeError);
});

Deno.test("KL is 0 for equal distributions, whatever is added to the logits", () => {
  const logits = Float32Array.of(1, -2, 300, 4);
  assertAlmostEquals(klDivergence(logits, logits.map((x) => x + 7)), 0, 1e-6);
});

Deno.test("KL of a fair coin and one of 3 to 1 is what it is by hand", () => {
  const fair = new Float32Array(2);
  const biased = Float32Array.of(Math.log(3), 0);
  const expected = 0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25);
  assertAlmostEquals(klDivergence(fair, biased), expected, 1e-6);
  assert(klDivergence(biased, fair) !== klDivergence(fair, biased));
});

Deno.test("logSumExp does not overflow", () => {
  assertAlmostEquals(
    logSumExp(Float32Array.of(1000, 1000)),
    1000 + Math.LN2,
    1e-9,
  );
});

Deno.test("a table's columns are aligned, numbers to the right", () => {
  const columns = ["", "ms", "ratio"];
  const rows = [["ours", "9.50", "1"], ["theirs", "120.00", "12.63"]];
  assertEquals(formatTable({ columns, rows }).split("\n"), [
    "            ms  ratio",
    "ours      9.50      1",
    "theirs  120.00  12.63",
  ]);
  assertThrows(() => formatTable({ columns, rows: [["a"]] }), TypeError);
});

function sample(
  seen: number,
  rss: number,
  changes: Partial<StreamSample> = {},
): StreamSample {
  const fixed = { medianMs: 1, meanMs: 1, vmRss: null, perplexity: null };
  return { seen, rss, cacheBytes: 64, ...fixed, ...changes };
}

const SIZES = { capacity: 3, every: 2, warmup: 4 };

Deno.test("a verdict compares the end with the time just past capacity", () => {
  const samples = [
    sample(2, 100),
    sample(4, 500),
    sample(6, 550),
    sample(8, 520),
  ];
  const times = Float64Array.of(9, 9, 9, 1, 3, 50, 4, 6);
  const verdict = verdictOf(samples, times, SIZES);
  assertEquals(verdict, {
    rssGrowth: 20,
    warmup: 4,
    cacheConstant: true,
    firstMs: 2,
    lastMs: 5,
    slowdown: 2.5,
  });
});

Deno.test("a verdict takes the kernel's figure where there is one", () => {
  const samples = [4, 8].map((seen) => sample(seen, 0, { vmRss: seen * 10 }));
  assertEquals(
    verdictOf(samples, new Float64Array(8).fill(1), SIZES)?.rssGrowth,
    40,
  );
});

Deno.test("a verdict says so if the cache's bytes change", () => {
  const samples = [sample(4, 0, { cacheBytes: 63 }), sample(8, 0)];
  const verdict = verdictOf(samples, new Float64Array(8).fill(1), SIZES);
  assertEquals(verdict?.cacheConstant, false);
  assert(renderVerdict(verdict).includes("CHANGED"));
});

Deno.test("a stream too short for a verdict has none", () => {
  const samples = [sample(4, 0), sample(6, 0)];
  const verdict = verdictOf(samples, new Float64Array(6).fill(1), SIZES);
  assertEquals(verdict, null);
  assert(renderVerdict(verdict).includes("too short"));
});

Deno.test("peers are compared by medians over the turns, at equal sizes", () => {
  const line = (
    peer: string,
    held: number,
    [prefill, decode]: [number, number],
  ): PeerLine => ({
    peer,
    held,
    prefillTokensPerSecond: prefill,
    decodeTokensPerSecond: decode,
    threads: 2,
    rounds: 3,
  });
  const results = comparePeers([
    line("everstream", 512, [300, 90]),
    line("other", 512, [100, 45]),
    line("everstream", 2048, [200, 60]),
    line("everstream", 512, [200, 80]),
    line("other", 512, [200, 30]),
    line("everstream", 512, [100, 100]),
    line("other", 512, [160, 60]),
  ]);
  const other = results.find(({ name }) => name === "other");
  assertEquals(other?.turns, 3);
  assertAlmostEquals(other!.prefillRatio, 200 / 160, 1e-9);
  assertAlmostEquals(other!.decodeRatio, 90 / 45, 1e-9);
  assertEquals(results.map(({ held }) => held), [512, 512, 2048]);
  assertThrows(() => comparePeers([line("other", 512, [1, 1])]), TypeError);
});

Deno.test("peers' streams are compared at equal sizes and numbers", () => {
  const line = (
    peer: string,
    streams: number,
    tokensPerSecond: number,
  ): PeerStreamsLine => ({
    peer,
    held: 512,
    streams,
    tokensPerSecond,
    threads: 2,
    rounds: 3,
  });
  const results = comparePeerStreams([
    line("everstream", 1, 80),
    line("everstream", 8, 290),
    line("other", 1, 50),
    line("other", 8, 90),
    line("everstream", 8, 310),
    line("other", 8, 110),
  ]);
  assertEquals(
    results.map(({ name, streams, ratio, turns }) => [
      `${name} ${streams}`,
      ratio,
      turns,
    ]),
    [
      ["everstream 1", 1, 1],
      ["everstream 8", 1, 2],
      ["other 1", 1.6, 1],
      ["other 8", 3, 2],
    ],
  );
  const lone = [line("everstream", 1, 80), line("other", 2, 1)];
  assertThrows(() => comparePeerStreams(lone), TypeError, "2 streams");
});
