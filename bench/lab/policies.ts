/** Which policies the lab compares. @module */
import { SinkWindow } from "../../lib/cache/sink_window.ts";

/** A policy under comparison. */
export interface LabPolicy {
  /** Kind and numbers, as in `sink-window 4+512`. */
  readonly label: string;
  readonly kind: "full" | "window" | "sink-window";
  readonly policy: SinkWindow;
}

/** What streams through the lab. */
export const STREAMED = ["full", "window", "sink-window"] as const;

/** Sizes to compare. */
export interface PolicySizes {
  /** S of each `sink-window`. */
  readonly sinks: readonly number[];
  /** W of each `window` and `sink-window`. */
  readonly windows: readonly number[];
  /** Tokens that `full` holds. */
  readonly full: number;
}

/**
 * The policies of these kinds, one for each pair of sizes, `full` first.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { labPolicies } from "./policies.ts";
 * const sizes = { sinks: [1, 4], windows: [256], full: 1000 };
 * assertEquals(
 *   labPolicies(new Set(["sink-window", "full"]), sizes).map(({ label }) => label),
 *   ["full", "sink-window 1+256", "sink-window 4+256"],
 * );
 * ```
 */
export function labPolicies(
  kinds: ReadonlySet<string>,
  { sinks, windows, full }: PolicySizes,
): LabPolicy[] {
  const policies: LabPolicy[] = [];
  if (kinds.has("full")) {
    const policy = new SinkWindow(0, full);
    policies.push({ label: "full", kind: "full", policy });
  }
  for (const window of windows) {
    if (kinds.has("window")) {
      const policy = new SinkWindow(0, window);
      policies.push({ label: `window ${window}`, kind: "window", policy });
    }
    if (!kinds.has("sink-window")) continue;
    for (const count of sinks) policies.push(sinkWindow(count, window));
  }
  return policies;
}

/** StreamingLLM's policy. */
export function sinkWindow(sinks: number, window: number): LabPolicy {
  return {
    label: `sink-window ${sinks}+${window}`,
    kind: "sink-window",
    policy: new SinkWindow(sinks, window),
  };
}
