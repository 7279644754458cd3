import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
} from "@std/assert";
import { join } from "node:path";
import { plotsOf } from "../../../bench/lab/plots.ts";
import {
  type LabRecord,
  readRecord,
  type StreamRecord,
} from "../../../bench/lab/record.ts";
import { renderHtml } from "../../../bench/lab/report_html.ts";
import { tablesOf } from "../../../bench/lab/report_text.ts";
import { summarizeLab } from "../../../bench/lab/summary.ts";
import { renderSvg } from "../../../bench/lab/svg.ts";
import { renderTables } from "../../../bench/lab/tables.ts";

const MACHINE = {
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
};

/** A stream of perplexity 20 while all is held, and `after` from there on. */
function stream(
  kind: StreamRecord["kind"],
  { sinks, window, after, held = sinks + window, kvBits = 32, lazyLayers = 0 }:
    & Pick<StreamRecord, "sinks" | "window">
    & Partial<Pick<StreamRecord, "kvBits" | "lazyLayers">>
    & { after: number; held?: number },
): StreamRecord {
  const length = kind === "full" ? 1024 : 1536;
  const change = kind === "full" ? length : held;
  const losses = Array.from(
    { length },
    (_, i) => i < change ? Math.log(20) : Math.log(after),
  );
  return {
    label: kind === "full"
      ? kind
      : `${kind} ${sinks}+${window}${kvBits === 32 ? "" : `, ${kvBits} bits`}`,
    kind,
    sinks,
    window,
    kvBits,
    lazyLayers,
    losses,
    divergences: kind === "full"
      ? []
      : losses.slice(0, 1024).map((_, i) => i < change ? 0 : 0.5),
    agreements: kind === "full"
      ? []
      : losses.slice(0, 1024).map((_, i) => i % 4 === 0 ? 0 : 1),
    cacheBytes: 2 ** 20,
    chunkMs: 1,
    stepMs: 9,
  };
}

const POSITIONS = [300, 600, 900, 1200, 1500];
const RECORD: LabRecord = {
  schema: 2,
  machine: MACHINE,
  text: "a <b> & c.txt",
  skip: 5,
  tokens: 1536,
  streams: [
    stream("full", { sinks: 0, window: 1024, after: 20 }),
    stream("window", { sinks: 0, window: 256, after: 60 }),
    stream("sink-window", { sinks: 4, window: 256, after: 21 }),
    stream("sink-window", { sinks: 4, window: 256, after: 22, kvBits: 4 }),
    stream("simplayer", {
      sinks: 4,
      window: 256,
      after: 23,
      held: 4 + 64,
      lazyLayers: 2,
    }),
  ],
  recomputed: [{
    window: 256,
    positions: POSITIONS,
    losses: POSITIONS.map(() => Math.log(20)),
    cacheBytes: 2 ** 20,
    stepMs: 400,
  }],
  recall: [{
    label: "sink-window 4+256",
    facts: 3,
    chance: 0.125,
    points: [200, 255, 256].map((distance) => ({
      distance,
      accuracy: distance < 256 ? 1 : 0,
      margin: distance < 256 ? 9 : -2,
    })),
    arithmeticEdge: 255,
    measuredEdge: { last: 255, next: 256, before: 9, after: -2 },
  }],
};

Deno.test("figures are taken after all have evicted, on the same tokens", () => {
  const summary = summarizeLab(RECORD);
  assertEquals(summary.start, 260);
  const [full, window, sinks, , lazy, recompute] = summary.policies;
  assertAlmostEquals(full!.perplexity!, 20, 1e-9);
  assertEquals([full!.evicted, full!.sampled], [null, null]); // it went no further than 1,024
  assertAlmostEquals(window!.evicted!, 60, 1e-9);
  assertAlmostEquals(sinks!.evicted!, 21, 1e-9);
  assertAlmostEquals(window!.sampled!, 60, 1e-9);
  assertAlmostEquals(recompute!.sampled!, 20, 1e-9);
  assertEquals(full!.distance, null);
  assertEquals(sinks!.distance?.klBefore, 0);
  assertAlmostEquals(sinks!.distance!.agreementBefore, 0.75, 1e-9);
  assertAlmostEquals(sinks!.distance!.kl!, 0.5, 1e-9);
  assertAlmostEquals(sinks!.distance!.agreement!, 0.75, 1e-9);
  assertEquals([lazy!.distance!.klBefore, lazy!.lazyLayers], [0, 2]); // until its lazy layers forget
  assertAlmostEquals(lazy!.distance!.kl!, 0.5, 1e-9);
  assertEquals(full!.curve.length, 2);
  assertEquals(sinks!.curve.length, 3);
  const [ratio] = summary.withoutSinks;
  assertEquals([ratio!.tokens, summary.withoutSinks.length], [1276, 1]);
  assertAlmostEquals(ratio!.ratio, 60 / 21, 1e-9);
  assertAlmostEquals(ratio!.drift!.per10000, 1, 1e-9);
  assertEquals(
    summary.againstRecompute.map(({ label }) => label),
    [
      "window 0+256",
      "sink-window 4+256",
      "sink-window 4+256, 4 bits",
      "simplayer 4+256",
    ],
  );
  assertAlmostEquals(summary.againstRecompute[1]!.ratio, 21 / 20, 1e-9);
  assertAlmostEquals(summary.againstRecompute[1]!.drift!.per10000, 1, 1e-9);
});

Deno.test("fewer bits and lazy layers are compared with the same window's plain rows", () => {
  const { againstPlain } = summarizeLab(RECORD);
  assertEquals(
    againstPlain.map(({ label, other }) => [label, other]),
    [
      ["sink-window 4+256, 4 bits", "sink-window 4+256"],
      ["simplayer 4+256", "sink-window 4+256"],
    ],
  );
  assertAlmostEquals(againstPlain[0]!.ratio, 22 / 21, 1e-9);
  assertAlmostEquals(againstPlain[1]!.ratio, 23 / 21, 1e-9);
});

Deno.test("the report contains its data and scripts, and refers to nothing outside", () => {
  const summary = summarizeLab(RECORD);
  const html = renderHtml(summary);
  assert(!/(src|href)\s*=/i.test(html.replace(/<script[^]*?<\/script>/g, "")));
  assert(!/<link|<img|<iframe|@import|url\(/i.test(html));
  assert(!/["'(]\s*https?:\/\//.test(html));
  const data = (id: string) => {
    const pattern = new RegExp(`<script[^>]* id="${id}">([^]*?)</script>`);
    return JSON.parse(pattern.exec(html)![1]!);
  };
  assertEquals(data("summary").policies[2].label, "sink-window 4+256");
  assertAlmostEquals(data("summary").policies[1].evicted, 60, 1e-3);
  const plots = plotsOf(summary);
  assertEquals(data("plots").length, plots.length);
  for (const [i, plot] of plots.entries()) {
    assert(html.includes(`id="plot${i}"`));
    assertEquals(data("plots")[i].lines.length, plot.lines.length);
    for (const line of plot.lines) {
      assertEquals(line.values.length, plot.x.length);
    }
  }
  assert(html.includes("a &lt;b&gt; &amp; c.txt"));
  assert(!html.includes("<b>"));
  assert(html.includes("uPlot"));
});

Deno.test("the printed report says where the edge is and what is worse by how much", () => {
  const text = renderTables(tablesOf(summarizeLab(RECORD)));
  for (
    const part of [
      "up to distance 255 by its arithmetic",
      "known at 255 and forgotten at 256",
      "2.857",
      "1.050",
      "window-recompute 256",
      "75.0 %",
    ]
  ) {
    assert(text.includes(part), part);
  }
});

Deno.test("the picture is small and names each of its lines", () => {
  const svg = renderSvg(summarizeLab(RECORD));
  assert(svg.length < 60_000);
  const drawn = [
    "full",
    "window 0+256",
    "sink-window 4+256",
    "simplayer 4+256",
  ];
  for (const label of drawn) assert(svg.includes(`>${label}</text>`), label);
  assertEquals(svg.match(/<polyline/g)?.length, drawn.length);
  assert(svg.includes("a &lt;b&gt; &amp; c.txt"));
  assert(!/NaN|undefined|Infinity/.test(svg));
});

Deno.test("a part that was not measured is left out", () => {
  const summary = summarizeLab({
    ...RECORD,
    streams: [],
    recomputed: [],
  });
  assertEquals(plotsOf(summary).length, 2);
  const text = renderTables(tablesOf(summary));
  assert(text.startsWith("Recall of 3 facts") && !text.includes("Policies"));
});

Deno.test("a record of another schema is not read", async () => {
  const directory = await Deno.makeTempDir({ prefix: "everstream-lab-" });
  try {
    const path = join(directory, "policies.json");
    await Deno.writeTextFile(path, JSON.stringify({ ...RECORD, schema: 1 }));
    await assertRejects(() => readRecord(path), TypeError, "schema");
    await Deno.writeTextFile(path, JSON.stringify(RECORD));
    assertEquals((await readRecord(path)).tokens, 1536);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
