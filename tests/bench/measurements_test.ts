import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
} from "@std/assert";
import { sentenceTokens } from "../../bench/bench_model.ts";
import { measureCached } from "../../bench/measurements/cached.ts";
import { measureKl } from "../../bench/measurements/kl.ts";
import { measurePeers, type Peer } from "../../bench/measurements/peers.ts";
import { measureRecompute } from "../../bench/measurements/recompute.ts";
import {
  measureDecode,
  measurePrefill,
} from "../../bench/measurements/speed.ts";
import { measureStream } from "../../bench/measurements/stream.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { recordingModel } from "./small_bench_model.ts";

Deno.test("prefill appends the whole prompt to an empty cache of its size, each round", async () => {
  const model = recordingModel();
  const result = await measurePrefill(model, { held: 40, rounds: 3 });
  const [decoder] = model.decoders;
  assertEquals(decoder!.policy.capacity, 40);
  const round = [[0, 16], [16, 16], [32, 8]];
  assertEquals(
    decoder!.runs.slice(1).map(({ seen, tokens }) => [seen, tokens.length]),
    [...round, ...round, ...round],
  );
  assertEquals([result.tokens, result.rounds], [40, 3]);
  assertEquals(result.milliseconds.length, 3);
});

Deno.test("decode runs one greedy token at a time with the cache full", async () => {
  const model = recordingModel();
  await measureDecode(model, { held: 32, tokens: 10, rounds: 2 });
  const [decoder] = model.decoders;
  assertEquals(decoder!.policy.capacity, 32);
  const decoded = decoder!.runs.slice(2);
  assertEquals(decoded.length, 8 + 2 * 10);
  let previous = decoder!.runs[1]!.tokens.at(-1)!;
  for (const { seen, tokens } of decoded) {
    assert(seen >= 32);
    assertEquals(tokens, [previous + 1]);
    previous++;
  }
});

Deno.test("uncached decoding computes every prefix whole, for the cached answer's tokens", async () => {
  const model = recordingModel(64);
  const result = await measureCached(model, {
    prompt: 8,
    tokens: 5,
    rounds: 2,
  });
  const runs = model.decoders[0]!.runs.slice(1);
  const round = [
    [0, 8], // cached: the prompt, then one token a run
    [8, 1],
    [9, 1],
    [10, 1],
    [11, 1],
    [0, 8], // uncached: all of it, again and again
    [0, 9],
    [0, 10],
    [0, 11],
    [0, 12],
  ];
  assertEquals(
    runs.map(({ seen, tokens }) => [seen, tokens.length]),
    [...round, ...round],
  );
  const cached = [
    ...runs[0]!.tokens,
    ...runs.slice(1, 5).flatMap((r) => r.tokens),
  ];
  assertEquals(runs[9]!.tokens, cached);
  assertEquals(result.agreement, 1);
  assertAlmostEquals(result.ratio, result.uncachedMs / result.cachedMs, 1e-9);
});

Deno.test("recomputing rebuilds the cache from the last tokens, which the sink-window just saw", async () => {
  const model = recordingModel(64);
  const result = await measureRecompute(model, {
    held: 12,
    tokens: 3,
    rounds: 2,
  });
  const [streamed, rebuilt] = model.decoders;
  const text = sentenceTokens(model.tokenizer, 18);
  assertEquals([streamed!.policy.sinks, streamed!.policy.window], [4, 8]);
  assertEquals([rebuilt!.policy.sinks, rebuilt!.policy.window], [0, 12]);
  assertEquals(streamed!.runs.flatMap(({ tokens }) => tokens), text);
  assertEquals(rebuilt!.runs.slice(1), [
    { seen: 0, tokens: text.slice(3, 15) },
    { seen: 0, tokens: text.slice(6, 18) },
  ]);
  assertEquals([result.held, result.rounds], [12, 2]);
});

const STREAM = { policy: new SinkWindow(4, 12), every: 10, warmup: 20 };

Deno.test("a stream of a text appends its tokens one a run, without a new start", async () => {
  const model = recordingModel();
  const text = sentenceTokens(model.tokenizer, 60);
  const result = await measureStream(model, { ...STREAM, tokens: 55, text });
  const [decoder] = model.decoders;
  assertEquals(decoder!.opened, 1);
  assertEquals(
    decoder!.runs,
    text.slice(0, 55).map((token, seen) => ({ seen, tokens: [token] })),
  );
  assertEquals(result.source, "text");
  assertEquals(result.samples.map(({ seen }) => seen), [
    10,
    20,
    30,
    40,
    50,
    55,
  ]);
  assert(result.verdict?.cacheConstant);
});

Deno.test("a stream's perplexity is that of the text's tokens", async () => {
  const model = recordingModel();
  const text = Array.from({ length: 41 }, (_, i) => i); // what the model expects
  const others = text.map((token) => 2 * token);
  const perplexity = async (text: readonly number[]) => {
    const result = await measureStream(model, { ...STREAM, tokens: 40, text });
    return result.samples.map(({ perplexity }) => perplexity!);
  };
  const vocabulary = model.tokenizer.size;
  const chance = Math.exp(10) / (Math.exp(10) + vocabulary - 1);
  for (const found of await perplexity(text)) {
    assertAlmostEquals(found, 1 / chance, 1e-4);
  }
  assert((await perplexity(others)).every((found) => found > 1000));
});

Deno.test("a stream without a text goes on with what the model writes, the same each time", async () => {
  const model = recordingModel();
  const options = { ...STREAM, tokens: 60 };
  const first = await measureStream(model, options);
  await measureStream(model, options);
  assertEquals(first.source, "sampled");
  assertEquals(first.samples[0]!.perplexity, null);
  const [one, two] = model.decoders;
  assertEquals(one!.runs.length, 60);
  assertEquals(one!.runs, two!.runs);
  for (const { tokens } of one!.runs) {
    assert(!model.tokenizer.endIds.has(tokens[0]!));
  }
});

Deno.test("a text shorter than the stream is an error", async () => {
  const stream = measureStream(recordingModel(), {
    ...STREAM,
    tokens: 5,
    text: [1, 2],
  });
  await assertRejects(() => stream, RangeError, "5 tokens of a text of 2");
});

Deno.test("logits equal to the reference's are at distance 0 and agree", async () => {
  const model = recordingModel(4);
  const tokens = Array.from({ length: 10 }, (_, i) => i);
  const vocabulary = model.tokenizer.size;
  const reference = new Float32Array(tokens.length * vocabulary);
  for (const token of tokens) reference[token * vocabulary + token + 1] = 10;
  const llamaCpp = reference.slice();
  llamaCpp[vocabulary + 2] = 0; // position 1 of ten prefers the first token now
  llamaCpp[vocabulary] = 10;
  const result = await measureKl(model, { tokens, reference, llamaCpp });
  assertEquals(result.ours, { meanKl: 0, maxKl: 0, top1Agreement: 1 });
  assertAlmostEquals(result.llamaCpp.top1Agreement, 0.9, 1e-9);
  assertAlmostEquals(result.llamaCpp.meanKl, result.llamaCpp.maxKl / 10, 1e-9);
  const other = { tokens, reference: reference.slice(10), llamaCpp };
  await assertRejects(() => measureKl(model, other), TypeError, "vocabulary");
});

Deno.test("ours and the peers take turns", async () => {
  const model = recordingModel();
  const turns: string[] = [];
  const peer = (name: string): Peer => ({
    name,
    run(sizes) {
      turns.push(`${name} after ${model.decoders.length}`);
      return Promise.resolve(sizes.map((held) => ({
        peer: name,
        held,
        prefillTokensPerSecond: 100,
        decodeTokensPerSecond: 10,
        threads: 2,
        rounds: 3,
      })));
    },
  });
  const options = { sizes: [24], turns: 2, decoded: 4 };
  const results = await measurePeers(model, [peer("a"), peer("b")], options);
  assertEquals(turns, ["a after 2", "b after 2", "a after 4", "b after 4"]);
  assertEquals(results.map(({ name }) => name), ["everstream", "a", "b"]);
  assertEquals(results[0]!.prefillRatio, 1);
});
