/**
 * What bytes buy: a text read with caches of fewer bits, lazy layers and both, one after the other.
 *
 * @module
 */
import { basename } from "node:path";
import type { Config } from "../../lib/config.ts";
import { type BenchModel, openBenchModel } from "../bench_model.ts";
import { describeMachine } from "../machine.ts";
import { readTextTokens } from "../text.ts";
import { curveCaches, type CurveChunk, curveChunks } from "./curve_caches.ts";
import type { CurveOptions } from "./curve_options.ts";
import {
  type CurvePoint,
  type CurveRecord,
  withPlace,
} from "./curve_record.ts";
import { referencesOf } from "./distributions.ts";
import { lazyCounts } from "./lazy_counts.ts";
import { PolicyStream, STEPS, type StreamedPolicy } from "./policy_stream.ts";

/** Of a model's layers, unless others are asked for. */
const SHARES = [1 / 3, 1 / 2, 2 / 3];

/** What becomes of the results. */
export interface CurveSink {
  /** Takes all that is measured so far, after each place of the text. */
  onRecord(record: CurveRecord): Promise<void>;
  /** Takes a line that says how far it is. */
  onProgress(line: string): void;
}

/**
 * Measures what the options say.
 *
 * @throws {RangeError} if the text is too short, or the model has fewer layers than are to be lazy.
 */
export async function measureCurve(
  config: Config,
  options: CurveOptions,
  sink: CurveSink,
): Promise<CurveRecord> {
  const model = await openBenchModel(config);
  try {
    return await curveOn(model, options, sink);
  } finally {
    await model.release();
  }
}

/** The same on a model that is open. */
export async function curveOn(
  model: BenchModel,
  options: CurveOptions,
  sink: CurveSink,
): Promise<CurveRecord> {
  const { tokens, prompt, bits } = options;
  const lazy = lazyCounts(options.lazy, model.layers, SHARES);
  const caches = curveCaches(tokens, { bits, lazy });
  const points = new Map<string, CurvePoint>();
  let record: CurveRecord = {
    schema: 1,
    machine: describeMachine(model),
    text: basename(options.text),
    places: [],
    tokens,
    prompt,
    fullBytes: 0,
    points: [],
  };
  for (const skip of await placesOf(options)) {
    const count = tokens - 1 + STEPS;
    const at = { skip, count };
    const text = await readTextTokens(model.tokenizer, options.text, at);
    const [plain, ...others] = caches;
    const stream = await PolicyStream.open(model, plain!, text);
    const most = stream.limit;
    const chunks = curveChunks({ tokens, prompt, most });
    const fullBytes = stream.tokenBytes / 2 * tokens;
    const add = (streamed: StreamedPolicy) => {
      const { label } = streamed;
      points.set(label, withPlace(points.get(label), streamed));
      sink.onProgress(`from byte ${skip}: ${label}`);
    };
    const kept = await readPlain(stream, chunks);
    add(await stream.finish(STEPS));
    for (const cache of others) {
      const stream = await PolicyStream.open(model, cache, text);
      await readCompared(stream, chunks, kept);
      add(await stream.finish(STEPS));
    }
    const places = [...record.places, skip];
    record = { ...record, places, fullBytes, points: [...points.values()] };
    await sink.onRecord(record);
  }
  return record;
}

/** The bytes of the text that places begin at, evenly spread over what follows `skip`. */
async function placesOf(
  { text, skip, places }: CurveOptions,
): Promise<number[]> {
  const { size } = await Deno.stat(text);
  const step = Math.floor(Math.max(0, size - skip) / places);
  return Array.from({ length: places }, (_, i) => skip + i * step);
}

/** Reads with the cache that others are compared with; gives the logits of each chunk. */
async function readPlain(
  stream: PolicyStream,
  chunks: readonly CurveChunk[],
): Promise<Float32Array[]> {
  const kept: Float32Array[] = [];
  for (const { count, scored } of chunks) {
    kept.push((await stream.append(count, { scored })).slice());
  }
  return kept;
}

/** Reads with another cache, against the logits of the first. */
async function readCompared(
  stream: PolicyStream,
  chunks: readonly CurveChunk[],
  kept: readonly Float32Array[],
): Promise<void> {
  for (const [i, { count, scored }] of chunks.entries()) {
    const references = referencesOf(kept[i]!, stream.vocabulary);
    await stream.append(count, { scored, references });
  }
}
