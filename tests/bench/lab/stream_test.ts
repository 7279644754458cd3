import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { assertRejects } from "@std/assert";
import { fullPolicy, labPolicies } from "../../../bench/lab/policies.ts";
import { PolicyStream } from "../../../bench/lab/policy_stream.ts";
import {
  recomputeWindow,
  samplePositions,
} from "../../../bench/lab/recompute.ts";
import { perplexity } from "../../../bench/lab/series.ts";
import { streamPolicies } from "../../../bench/lab/stream.ts";
import { klDivergence } from "../../../bench/statistics.ts";
import { recordingModel } from "../small_bench_model.ts";
import { rememberingModel } from "./remembering_model.ts";

const ALL = new Set(["full", "window", "sink-window"]);
/** What {@linkcode ALL} do not have, or have one of. */
const PLAIN = { bits: [32], lazy: [2] } as const;
const TEXT = Array.from({ length: 60 }, (_, i) => (7 * i) % 50);

Deno.test("policies read a text side by side, in chunks, each token once", async () => {
  const model = recordingModel(16);
  const policies = labPolicies(ALL, {
    sinks: [4],
    windows: [20],
    full: 40,
    ...PLAIN,
  });
  const streamed = await streamPolicies(model, {
    policies,
    text: TEXT,
    tokens: 50,
    steps: 3,
  });
  const [full, window, sinkWindow] = model.decoders;
  const chunks = [[0, 16], [16, 16], [32, 8]];
  const rest = [[40, 10], [50, 1], [51, 1], [52, 1]];
  const steps = [[40, 1], [41, 1], [42, 1]];
  const runsOf = (decoder: typeof full) =>
    decoder!.runs.map(({ seen, tokens }) => [seen, tokens.length]);
  assertEquals(runsOf(full), [...chunks, ...steps]);
  assertEquals(runsOf(window), [...chunks, ...rest]);
  assertEquals(
    sinkWindow!.runs.flatMap(({ tokens }) => tokens),
    TEXT.slice(0, 53),
  );
  assertEquals(model.turns.slice(0, 6), [0, 1, 2, 0, 1, 2]);
  assertEquals(streamed.map(({ losses }) => losses.length), [40, 50, 50]);
  assertEquals(streamed.map((s) => s.divergences.length), [0, 40, 40]);
  assert(streamed.every(({ stepMs, chunkMs }) => stepMs > 0 && chunkMs > 0));
});

Deno.test("a loss is that of the token that follows in the text", async () => {
  const model = recordingModel(8);
  const policies = labPolicies(ALL, {
    sinks: [1],
    windows: [16],
    full: 30,
    ...PLAIN,
  });
  const options = { policies, tokens: 30, steps: 0 };
  // The model expects t + 1 after t: so is this text up to its middle, and then no more.
  const text = Array.from({ length: 31 }, (_, i) => i <= 15 ? i : 3 * i);
  const vocabulary = model.tokenizer.size;
  const chance = Math.exp(10) / (Math.exp(10) + vocabulary - 1);
  for (const { losses } of await streamPolicies(model, { ...options, text })) {
    assertAlmostEquals(perplexity(losses.subarray(0, 15)), 1 / chance, 1e-6);
    assertAlmostEquals(
      perplexity(losses.subarray(15)),
      Math.exp(10) / chance,
      0.1,
    );
  }
});

Deno.test("of a chunk, the last tokens alone can be scored", async () => {
  const text = [0, 2, 4, 6, 7, 8]; // what the model expects comes after 6 and 7 only
  const stream = await PolicyStream.open(recordingModel(), fullPolicy(9), text);
  await stream.append(4, { scored: 1 });
  await stream.append(1);
  const { losses } = await stream.finish(0);
  assertEquals(losses.length, 2);
  assert(losses.every((loss) => loss < 1), `${losses}`);
});

Deno.test("equal policies are at distance 0 and agree", async () => {
  const policies = labPolicies(ALL, {
    sinks: [2],
    windows: [16],
    full: 40,
    ...PLAIN,
  });
  const options = { policies, text: TEXT, tokens: 40, steps: 0 };
  const [, window] = await streamPolicies(recordingModel(), options);
  assert(window!.divergences.every((value) => Math.abs(value) < 1e-9));
  assertEquals([...window!.agreements], Array(40).fill(1));
});

Deno.test("a policy that has forgotten is as far from full as KL says, and disagrees", async () => {
  const model = rememberingModel();
  const text = Array.from({ length: 61 }, (_, i) => 1 + i % 30); // each token comes again after 30
  const sizes = { sinks: [4], windows: [16], full: 60, ...PLAIN };
  const [, window] = await streamPolicies(model, {
    policies: labPolicies(new Set(["full", "window"]), sizes),
    text,
    tokens: 60,
    steps: 0,
  });
  const sure = new Float32Array(64);
  sure[5] = 10;
  const lost = klDivergence(sure, new Float32Array(64));
  for (const [q, divergence] of window!.divergences.entries()) {
    const known = q >= 30; // by full alone: the window has lost what came 30 tokens ago
    assertAlmostEquals(divergence, known ? lost : 0, 1e-6);
    assertEquals(window!.agreements[q], known ? 0 : 1);
  }
});

Deno.test("each policy's cache is kept as it says, and only its own bytes count", async () => {
  const model = recordingModel();
  const streamed = await streamPolicies(model, {
    policies: labPolicies(new Set(["sink-window", "simplayer"]), {
      sinks: [1],
      windows: [16],
      full: 40,
      bits: [32, 4],
      lazy: [2],
    }),
    text: TEXT,
    tokens: 40,
    steps: 0,
  });
  assertEquals(model.rooms, [
    { format: { kvBits: 32, layered: false }, lazyLayers: 0 },
    { format: { kvBits: 4, layered: false }, lazyLayers: 0 },
    { format: { kvBits: 32, layered: true }, lazyLayers: 2 },
    { format: { kvBits: 4, layered: true }, lazyLayers: 2 },
  ]);
  assertEquals(streamed.map(({ cacheBytes }) => cacheBytes), [
    1000,
    1000,
    1000,
    1000,
  ]);
});

Deno.test("without full there are no distances, and a short text is an error", async () => {
  const policies = labPolicies(new Set(["window"]), {
    sinks: [],
    windows: [16],
    full: 40,
    ...PLAIN,
  });
  const options = { policies, text: TEXT, tokens: 40, steps: 0 };
  const [window] = await streamPolicies(recordingModel(), options);
  assertEquals([window!.losses.length, window!.divergences.length], [40, 0]);
  const long = streamPolicies(recordingModel(), { ...options, tokens: 60 });
  await assertRejects(() => long, RangeError, "60 tokens");
});

Deno.test("a recomputed window starts anew from the last tokens at each sampled position", async () => {
  const model = recordingModel(8);
  const positions = samplePositions({ from: 12, to: 40, every: 13 });
  assertEquals(positions, [12, 25, 38]);
  const options = { window: 10, text: TEXT, positions };
  const { losses, cacheBytes } = await recomputeWindow(model, options);
  const [decoder] = model.decoders;
  assertEquals([decoder!.policy.sinks, decoder!.policy.window], [0, 10]);
  // What comes before the first window is full is read as it comes.
  const [first, ...runs] = decoder!.runs;
  assertEquals(first, { seen: 0, tokens: TEXT.slice(0, 8) });
  assertEquals(
    runs,
    positions.flatMap((position) => [
      { seen: 0, tokens: TEXT.slice(position - 9, position - 1) },
      { seen: 8, tokens: TEXT.slice(position - 1, position + 1) },
    ]),
  );
  assertEquals([losses.length, cacheBytes], [3, 1000]);
});

Deno.test("positions are sampled evenly, the end not among them", () => {
  assertEquals(samplePositions({ from: 5, to: 5, every: 2 }), []);
  assertEquals(samplePositions({ from: 9, to: 5, every: 2 }), []);
  assertEquals(samplePositions({ from: 0, to: 7, every: 3 }), [0, 3, 6]);
});
