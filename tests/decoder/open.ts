/**
 * Opens decoders of small models, and compares logits.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { SlotLayout } from "../../lib/cache/layout.ts";
import { EmbeddingTable } from "../../lib/decoder/embedding_table.ts";
import { OnnxDecoder } from "../../lib/decoder/onnx_decoder.ts";
import type { Decoder } from "../../lib/decoder/decoder.ts";
import type { Engine, EngineSession } from "../../lib/engine/engine.ts";
import { openDecoderGraph, planDecoder } from "../../lib/graph/convert.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import type { SmallModel } from "../reference/small_model.ts";
import { RecordingSession } from "./recording_session.ts";

/** How a decoder is opened. */
export interface OpenOptions {
  readonly layout: SlotLayout;
  readonly slots?: number;
  readonly chunk?: number;
  /** Puts something between the decoder and its engine. */
  readonly wrap?: (session: EngineSession) => EngineSession;
}

/** A decoder that frees its session when disposed of. */
export type OpenDecoder = Decoder & AsyncDisposable;

/** Opens a small model on an engine, with room for any chunk. */
export async function openSmallDecoder(
  engine: Engine,
  model: SmallModel,
  { layout, slots = 1, chunk = 4096, wrap = (session) => session }: OpenOptions,
): Promise<OpenDecoder> {
  using file = await openGguf(model.path);
  const plan = await planDecoder(file, layout.blocks.length);
  const source = { file, plan, sha256: model.sha256 };
  const graph = await openDecoderGraph(source, engine.linear, model.directory);
  const session = wrap(await engine.open(graph, { threads: 1 }));
  const embeddings = await EmbeddingTable.read(file, plan.family.embedding);
  const decoder = new OnnxDecoder({ plan, session, embeddings }, {
    layout,
    slots,
    chunk,
  });
  return Object.assign(decoder, {
    [Symbol.asyncDispose]: () => decoder.release(),
  });
}

/** Opens a small model on an engine through a session that remembers what it is given. */
export async function openRecorded(
  engine: Engine,
  model: SmallModel,
  options: Omit<OpenOptions, "wrap">,
): Promise<{ decoder: OpenDecoder; session: RecordingSession }> {
  let session!: RecordingSession;
  const wrap = (inner: EngineSession) => session = new RecordingSession(inner);
  const decoder = await openSmallDecoder(engine, model, { ...options, wrap });
  return { decoder, session };
}

/** Appends tokens in chunks of `size`, each cut to the policy's limit; gives the logits of each token. */
export async function appendAll(
  decoder: Decoder,
  tokens: readonly number[],
  options: { size: number; slot?: number; limit?: (seen: number) => number },
): Promise<Float32Array[]> {
  const { size, slot = 0, limit = () => Infinity } = options;
  const logits: Float32Array[] = [];
  for (let at = 0; at < tokens.length;) {
    const chunk = tokens.slice(
      at,
      at + Math.min(size, limit(decoder.seen(slot))),
    );
    const [rows] = await decoder.run([{
      slot,
      tokens: chunk,
      logits: chunk.length,
    }]);
    for (let t = 0; t < chunk.length; t++) {
      logits.push(
        rows!.subarray(t * decoder.vocabulary, (t + 1) * decoder.vocabulary),
      );
    }
    at += chunk.length;
  }
  return logits;
}

/** Largest difference between two lists of logits. */
export function largestDifference(
  a: readonly ArrayLike<number>[],
  b: readonly ArrayLike<number>[],
): number {
  let most = 0;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i]!, b[i]!];
    for (let j = 0; j < Math.max(x.length, y.length); j++) {
      const difference = Math.abs(x[j]! - y[j]!);
      if (!(difference <= most)) most = difference;
      if (Number.isNaN(most)) return NaN;
    }
  }
  return most;
}

/** Root mean square of the difference of two lists of logits. */
export function rmsDifference(
  a: readonly ArrayLike<number>[],
  b: readonly ArrayLike<number>[],
): number {
  const squares = a.flatMap((x, i) =>
    Array.from(x, (value, j) => (value - b[i]![j]!) ** 2)
  );
  return Math.sqrt(squares.reduce((sum, x) => sum + x, 0) / squares.length);
}

/** Throws unless all logits are within `tolerance`. */
export function assertLogits(
  actual: readonly ArrayLike<number>[],
  expected: readonly ArrayLike<number>[],
  tolerance: number,
  what = "logits",
): void {
  const most = largestDifference(actual, expected);
  if (Deno.env.has("EVERSTREAM_SHOW_ERRORS")) {
    console.log(`${what}: off by ${most.toExponential(1)}`);
  }
  assert(
    most <= tolerance,
    `${what}: off by ${most}, at most ${tolerance} is rounding`,
  );
}
