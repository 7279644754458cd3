import { assert, assertEquals } from "@std/assert";
import { measureMixed } from "../../bench/measurements/mixed.ts";
import {
  measurePeerStreams,
  type StreamsPeer,
} from "../../bench/measurements/peer_streams.ts";
import { measureStreams } from "../../bench/measurements/streams.ts";
import { renderMixed, renderStreams } from "../../bench/report_streams.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { type RecordingDecoder, recordingModel } from "./small_bench_model.ts";

const STREAMS = { held: 24, tokens: 5, prompt: 8, rounds: 2 };

/** Lengths of a slot's chunks, in order. */
function chunksOf(decoder: RecordingDecoder, slot: number): number[] {
  return decoder.batches.flat().filter((chunk) => chunk.slot === slot)
    .map(({ tokens }) => tokens.length);
}

/** All tokens that a slot was given. */
function tokensOf(decoder: RecordingDecoder, slot: number): number[] {
  return decoder.batches.flat().filter((chunk) => chunk.slot === slot)
    .flatMap(({ tokens }) => tokens);
}

Deno.test("every number of streams has a decoder of as many slots, full from the start", async () => {
  const model = recordingModel();
  const results = await measureStreams(model, { ...STREAMS, streams: [1, 3] });
  assertEquals(model.decoders.map(({ slots }) => slots), [1, 3]);
  for (const decoder of model.decoders) {
    assertEquals(decoder.policy.capacity, 24);
    for (let slot = 0; slot < decoder.slots; slot++) {
      const tokens = tokensOf(decoder, slot);
      // The held ones, a try and two rounds; then two rounds of a short prompt.
      assertEquals(tokens.length, 24 + 5 + 2 * 5 + 2 * 8);
      assertEquals(chunksOf(decoder, slot).filter((n) => n === 1).length, 15);
      for (let i = 24; i < 24 + 15; i++) {
        assertEquals(tokens[i], tokens[i - 1]! + 1); // greedy, each its own
      }
    }
  }
  const prompts = [0, 1, 2].map((slot) =>
    tokensOf(model.decoders[1]!, slot).slice(0, 24).join()
  );
  assertEquals(new Set(prompts).size, 3);
  assertEquals(results.map(({ streams, rounds }) => [streams, rounds]), [
    [1, 2],
    [3, 2],
  ]);
});

Deno.test("streams that wait share a run", async () => {
  const model = recordingModel();
  await measureStreams(model, { ...STREAMS, streams: [3] });
  const steps = model.decoders[0]!.batches.filter((chunks) =>
    chunks.every(({ tokens, seen }) => tokens.length === 1 && seen >= 24)
  );
  assert(steps.every((chunks) => chunks.length === 3), `${steps.length} runs`);
  assertEquals(steps.length, 15);
});

Deno.test("numbers of streams take turns, round by round", async () => {
  const model = recordingModel();
  await measureStreams(model, { ...STREAMS, streams: [1, 2] });
  const changes = model.turns.filter((index, i) =>
    index !== model.turns[i - 1]
  );
  // Filled one after the other, then two rounds of decoding and two of prompts.
  assertEquals(changes.length, 2 + 2 * 2 + 2 * 2);
});

Deno.test("a ratio is over one stream, if one ran alone", async () => {
  const alone = await measureStreams(recordingModel(), {
    ...STREAMS,
    streams: [1, 2],
  });
  assertEquals(alone[0]!.ratio, 1);
  assertEquals(
    alone[1]!.ratio,
    alone[1]!.tokensPerSecond / alone[0]!.tokensPerSecond,
  );
  assertEquals(alone[1]!.perStream, alone[1]!.tokensPerSecond / 2);
  const others = await measureStreams(recordingModel(), {
    ...STREAMS,
    streams: [2],
  });
  assertEquals(others[0]!.ratio, null);
  assert(renderStreams(others).includes("-"));
});

Deno.test("a long prompt is read while the others go on, and only then do they stop", async () => {
  const model = recordingModel();
  const result = await measureMixed(model, {
    policy: new SinkWindow(4, 60),
    streams: 2,
    held: 16,
    tokens: 5,
    prompt: 200,
    rounds: 2,
  });
  const [decoder] = model.decoders;
  assertEquals(decoder!.slots, 3);
  assertEquals(tokensOf(decoder!, 2).length, 16 + 2 * 200);
  for (const slot of [0, 1]) {
    const steps = chunksOf(decoder!, slot).filter((count) => count === 1);
    assert(steps.length >= 2 * (5 + 5), `${steps.length} steps of ${slot}`);
  }
  assertEquals([result.streams, result.rounds], [2, 2]);
  assertEquals(result.ratio.max, result.during.max / result.before.p50);
  assertEquals(result.ratio.p50, result.during.p50 / result.before.p50);
  assert(renderMixed(result).includes("prompt of 200"));
});

Deno.test("ours and the peer's streams take turns at each size", async () => {
  const model = recordingModel();
  const calls: string[] = [];
  const peer: StreamsPeer = (held, streams) => {
    calls.push(`${held}: ${streams} after ${model.decoders.length}`);
    return Promise.resolve(streams.map((count) => ({
      peer: "other",
      held,
      streams: count,
      tokensPerSecond: 100,
      threads: 2,
      rounds: 3,
    })));
  };
  const options = { sizes: [16, 24], streams: [1, 2], turns: 2, decoded: 4 };
  const results = await measurePeerStreams(model, peer, options);
  assertEquals(calls, [
    "16: 1,2 after 2",
    "16: 1,2 after 2",
    "24: 1,2 after 4",
    "24: 1,2 after 4",
  ]);
  assertEquals(results.length, 2 * 2 * 2);
  assert(results.every(({ turns }) => turns === 2));
  const [ours] = model.decoders;
  const tokens = 16 + 2 * 4 * 4; // each turn four rounds, of which three count
  assertEquals(ours!.seen(0), tokens);
});
