/** At which distances facts are asked for. @module */
import type { Fact } from "./facts.ts";
import { leastDistance } from "./recall.ts";

/** Eighths of the window, up to twice of it. */
const EIGHTHS = [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 16];
/** Around the window's edge. */
const NEAR_EDGE = [-12, -8, -4, -2, -1, 0, 1, 2, 4, 8, 12];

/**
 * Distances on both sides of a window's edge, close to it one by one, ascending.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { recallDistances } from "./recall_distances.ts";
 * const fact = { prompt: [1], answer: [2], tail: [], distractors: [] };
 * const distances = recallDistances(160, [fact]);
 * assertEquals(distances.slice(0, 3), [20, 40, 60]);
 * assertEquals(distances.slice(10, 14), [157, 158, 159, 160]);
 * assertEquals(distances.at(-1), 320);
 * ```
 */
export function recallDistances(
  window: number,
  facts: readonly Fact[],
): number[] {
  const least = Math.max(...facts.map(leastDistance));
  const distances = [
    ...EIGHTHS.map((eighths) => Math.round(window * eighths / 8)),
    ...NEAR_EDGE.map((offset) => window - 1 + offset),
  ];
  return [...new Set(distances)].filter((distance) => distance >= least)
    .sort((a, b) => a - b);
}
