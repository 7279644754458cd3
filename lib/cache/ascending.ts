/** Search in sorted numbers. @module */

/**
 * Index of the first of ascending numbers that is `value` or more; their count if none is.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { firstFrom } from "./ascending.ts";
 * assertEquals([0, 5, 6, 10].map((value) => firstFrom([0, 5, 9], value)), [0, 1, 2, 3]);
 * ```
 */
export function firstFrom(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
