/**
 * SimLayerKV's arithmetic (arXiv 2410.13846): which layers are lazy, and what those keep. A layer is
 * lazy when its queries attend mostly to the first and the latest tokens; it keeps no others. How many
 * layers are lazy is fixed for a model, as in the same authors' LightTransfer, so that
 * a conversation's bytes are known before it begins.
 *
 * @module
 */

/** First tokens that count as near. */
const FIRST = 4;
/** Latest tokens that a lazy layer keeps at most. */
const RECENT = 1024;
/** Queries over which attention is averaged. */
export const LAST_QUERIES = 32;

/**
 * Window of a lazy layer: the paper's 1,024 tokens, and no more than a quarter of the other layers'.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { lazyWindow } from "./lazy_layers.ts";
 * assertEquals([lazyWindow(4092), lazyWindow(1020), lazyWindow(10_000)], [1023, 255, 1024]);
 * ```
 */
export function lazyWindow(window: number): number {
  return Math.min(RECENT, Math.ceil(window / 4));
}

/**
 * Which positions count as near for queries that end at `end`: the first 4 and as many latest as a
 * lazy layer keeps, or, of a conversation not yet twice as long as that, the latest quarter.
 */
export function nearPositions(
  end: number,
  window: number,
): (position: number) => boolean {
  const recent = end >= 2 * window ? window : Math.ceil(end / 4);
  return (position) => position < FIRST || position >= end - recent;
}

/**
 * The layers with the largest mass on near tokens, ascending; of two with the same, the earlier.
 *
 * @param mass by layer: averages over heads and queries, 0 … 1
 * @param kept layers that are never lazy
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { laziest } from "./lazy_layers.ts";
 * assertEquals(laziest([0.5, 0.9, 0.2, 0.9], 2), [1, 3]);
 * assertEquals(laziest([0.5, 0.9, 0.2, 0.9], 2, [1]), [0, 3]);
 * ```
 */
export function laziest(
  mass: readonly number[],
  count: number,
  kept: readonly number[] = [],
): number[] {
  const layers = [...mass.keys()].filter((layer) => !kept.includes(layer));
  return layers.sort((a, b) => mass[b]! - mass[a]! || a - b)
    .slice(0, count).sort((a, b) => a - b);
}
