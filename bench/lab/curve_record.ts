/** What `deno task lab curve` measured, value by value, as `curve.json` keeps it. @module */
import type { KvBits } from "../../lib/cache/cache_format.ts";
import type { Machine } from "../machine.ts";
import type { StreamedPolicy } from "./policy_stream.ts";
import { rounded } from "./record.ts";

/** A cache and what the model expected with it, of one place after the other. */
export interface CurvePoint {
  readonly label: string;
  readonly kvBits: KvBits;
  readonly lazyLayers: number;
  /** Of one conversation. */
  readonly cacheBytes: number;
  readonly losses: readonly number[];
  /** KL from plain rows in all layers, nats, and 1 where the most likely token is theirs; empty for these. */
  readonly divergences: readonly number[];
  readonly agreements: readonly number[];
  /** Milliseconds of a decoding step of a full cache, the median of each place. */
  readonly stepMs: readonly number[];
}

/** The whole file. */
export interface CurveRecord {
  /** Raised whenever a field changes its meaning. */
  readonly schema: 1;
  readonly machine: Machine;
  /** Name of the text's file, and the byte of it that each place begins at. */
  readonly text: string;
  readonly places: readonly number[];
  readonly tokens: number;
  readonly prompt: number;
  /** Bytes of as many tokens' rows of 16 bits in all layers. */
  readonly fullBytes: number;
  /** Plain rows in all layers first. */
  readonly points: readonly CurvePoint[];
}

/** A point with one place more. */
export function withPlace(
  before: CurvePoint | undefined,
  { label, format: { kvBits }, lazyLayers, cacheBytes, ...of }: StreamedPolicy,
): CurvePoint {
  return {
    label,
    kvBits,
    lazyLayers,
    cacheBytes,
    losses: [...before?.losses ?? [], ...rounded(of.losses)],
    divergences: [...before?.divergences ?? [], ...rounded(of.divergences)],
    agreements: [...before?.agreements ?? [], ...of.agreements],
    stepMs: [...before?.stepMs ?? [], of.stepMs],
  };
}

/**
 * Reads a file that the lab wrote.
 *
 * @throws {TypeError} if another program, or another version, wrote it.
 */
export async function readCurve(path: string): Promise<CurveRecord> {
  const record = JSON.parse(await Deno.readTextFile(path));
  if (record?.schema !== 1 || !Array.isArray(record.points)) {
    throw new TypeError(`Cannot read ${path}: it is no curve of schema 1`);
  }
  return record;
}
