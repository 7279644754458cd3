/** Which policies the lab compares. @module */
import type { CacheFormat, KvBits } from "../../lib/cache/cache_format.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { type BenchRoom, SINKS } from "../bench_model.ts";

/** A policy under comparison, and how its cache is kept. */
export interface LabPolicy
  extends Required<Pick<BenchRoom, "format" | "lazyLayers">> {
  /** Kind and numbers, as in `sink-window 4+512`. */
  readonly label: string;
  readonly kind: "full" | "window" | "sink-window" | "simplayer";
  readonly policy: SinkWindow;
}

/** Rows as they are computed, which all others are compared with. */
export const PLAIN_ROWS: CacheFormat = { kvBits: 32, layered: false };

/** What streams through the lab. */
export const STREAMED = ["full", "window", "sink-window", "simplayer"] as const;

/** Sizes to compare. */
export interface PolicySizes {
  /** S of each `sink-window`. */
  readonly sinks: readonly number[];
  /** W of all but `full`. */
  readonly windows: readonly number[];
  /** Tokens that `full` holds. */
  readonly full: number;
  /** Of each `sink-window` and `simplayer`. */
  readonly bits: readonly KvBits[];
  /** Lazy layers of each `simplayer`. */
  readonly lazy: readonly number[];
}

/**
 * The policies of these kinds, one for each choice of sizes, `full` first.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { labPolicies } from "./policies.ts";
 * const sizes = { sinks: [1], windows: [256], full: 1000, bits: [32, 4], lazy: [15] } as const;
 * assertEquals(
 *   labPolicies(new Set(["simplayer", "sink-window", "full"]), sizes).map(({ label }) => label),
 *   [
 *     "full",
 *     "sink-window 1+256",
 *     "sink-window 1+256, 4 bits",
 *     "simplayer 4+256, 15 lazy",
 *     "simplayer 4+256, 15 lazy, 4 bits",
 *   ],
 * );
 * ```
 */
export function labPolicies(
  kinds: ReadonlySet<string>,
  { sinks, windows, full, bits, lazy }: PolicySizes,
): LabPolicy[] {
  const policies: LabPolicy[] = [];
  if (kinds.has("full")) policies.push(fullPolicy(full));
  for (const window of windows) {
    if (kinds.has("window")) {
      const policy = new SinkWindow(0, window);
      const label = `window ${window}`;
      policies.push({ label, kind: "window", policy, ...keptAs(32) });
    }
    if (kinds.has("sink-window")) {
      policies.push(
        ...sinks.flatMap((count) =>
          bits.map((kvBits) => sinkWindow(count, window, kvBits))
        ),
      );
    }
    if (kinds.has("simplayer")) {
      policies.push(
        ...lazy.flatMap((count) =>
          bits.map((kvBits) => simplayer(count, window, kvBits))
        ),
      );
    }
  }
  return policies;
}

/** Everything, up to so many tokens. */
export function fullPolicy(tokens: number): LabPolicy {
  const policy = new SinkWindow(0, tokens);
  return { label: "full", kind: "full", policy, ...keptAs(32) };
}

/** StreamingLLM's policy. */
export function sinkWindow(
  sinks: number,
  window: number,
  kvBits: KvBits = 32,
): LabPolicy {
  return {
    label: `sink-window ${sinks}+${window}${bitsOf(kvBits)}`,
    kind: "sink-window",
    policy: new SinkWindow(sinks, window),
    ...keptAs(kvBits),
  };
}

/** SimLayerKV's policy, with the paper's first tokens as its sinks. */
export function simplayer(
  lazyLayers: number,
  window: number,
  kvBits: KvBits = 32,
): LabPolicy {
  return {
    label: `simplayer ${SINKS}+${window}, ${lazyLayers} lazy${bitsOf(kvBits)}`,
    kind: "simplayer",
    policy: new SinkWindow(SINKS, window),
    ...keptAs(kvBits, lazyLayers),
  };
}

/** How a cache of so many bits and lazy layers is kept. */
function keptAs(
  kvBits: KvBits,
  lazyLayers = 0,
): Pick<LabPolicy, "format" | "lazyLayers"> {
  return { format: { kvBits, layered: lazyLayers > 0 }, lazyLayers };
}

/** What a label says of a cache whose rows are not kept as they are. */
function bitsOf(kvBits: KvBits): string {
  return kvBits === 32 ? "" : `, ${kvBits} bits`;
}
