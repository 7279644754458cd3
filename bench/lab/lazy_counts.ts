/** How many layers of a model are lazy. @module */

/**
 * The counts that were asked for, or else those shares of a model's layers, rounded down.
 *
 * @throws {RangeError} if one is more than the model has.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { lazyCounts } from "./lazy_counts.ts";
 * assertEquals(lazyCounts(undefined, 30, [1 / 3, 1 / 2]), [10, 15]);
 * assertEquals(lazyCounts([4, 8], 30, [1 / 2]), [4, 8]);
 * ```
 */
export function lazyCounts(
  asked: readonly number[] | undefined,
  layers: number,
  shares: readonly number[],
): number[] {
  const most = Math.max(0, ...asked ?? []);
  if (most > layers) {
    throw new RangeError(
      `Cannot make ${most} layers lazy: the model has ${layers}`,
    );
  }
  return [...asked ?? shares.map((share) => Math.floor(share * layers))];
}
