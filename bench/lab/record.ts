/** What the lab measured, value by value, as `policies.json` keeps it. @module */
import type { KvBits } from "../../lib/cache/cache_format.ts";
import type { Machine } from "../machine.ts";
import type { LabPolicy } from "./policies.ts";
import type { RecallResult } from "./recall.ts";
import type { RecomputedLosses } from "./recompute.ts";
import type { StreamedPolicy } from "./policy_stream.ts";

/** A policy's stream; index `q` is of the query of token `q`, about token `q + 1`. */
export interface StreamRecord {
  readonly label: string;
  readonly kind: LabPolicy["kind"];
  readonly sinks: number;
  readonly window: number;
  readonly kvBits: KvBits;
  readonly lazyLayers: number;
  readonly losses: readonly number[];
  readonly divergences: readonly number[];
  readonly agreements: readonly number[];
  /** Of the conversation. */
  readonly cacheBytes: number;
  readonly chunkMs: number;
  readonly stepMs: number;
}

/** A window that was rebuilt, at a sample of positions. */
export interface RecomputeRecord extends Omit<RecomputedLosses, "losses"> {
  readonly losses: readonly number[];
}

/** The whole file. */
export interface LabRecord {
  /** Raised whenever a field changes its meaning. */
  readonly schema: 2;
  readonly machine: Machine;
  /** Name of the text's file, the byte it began at, and its tokens. */
  readonly text: string;
  readonly skip: number;
  readonly tokens: number;
  readonly streams: readonly StreamRecord[];
  readonly recomputed: readonly RecomputeRecord[];
  readonly recall: readonly RecallResult[];
}

/** A stream to keep; nats are kept to five decimals. */
export function streamRecord(streamed: StreamedPolicy): StreamRecord {
  const { policy: { sinks, window }, label, kind, lazyLayers } = streamed;
  const { losses, divergences, agreements, ...costs } = streamed;
  return {
    label,
    kind,
    sinks,
    window,
    kvBits: streamed.format.kvBits,
    lazyLayers,
    losses: rounded(losses),
    divergences: rounded(divergences),
    agreements: [...agreements],
    cacheBytes: costs.cacheBytes,
    chunkMs: costs.chunkMs,
    stepMs: costs.stepMs,
  };
}

/** A rebuilt window to keep. */
export function recomputeRecord(window: RecomputedLosses): RecomputeRecord {
  return { ...window, losses: rounded(window.losses) };
}

/** Values to keep, to five decimals. */
export function rounded(values: Float64Array): number[] {
  return Array.from(values, (value) => Math.round(value * 1e5) / 1e5);
}

/**
 * Reads a file that the lab wrote.
 *
 * @throws {TypeError} if another program, or another version, wrote it.
 */
export async function readRecord(path: string): Promise<LabRecord> {
  const record = JSON.parse(await Deno.readTextFile(path));
  if (record?.schema !== 2) {
    throw new TypeError(`Cannot read ${path}: its schema is not 2`);
  }
  return record;
}
