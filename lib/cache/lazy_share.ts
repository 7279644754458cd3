/** How many layers of a model `simplayer` makes lazy. @module */

/** What an operator can choose: so many, or as calibration says, else half of them. */
export type LazyLayers = "auto" | number;

/**
 * The number of lazy layers of a model with so many.
 *
 * @param calibrated what was measured to be best, if anything was
 * @throws {RangeError} if there are fewer layers than are to be lazy
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { lazyLayerCount } from "./lazy_share.ts";
 * assertEquals([lazyLayerCount("auto", 30), lazyLayerCount("auto", 30, 12)], [15, 12]);
 * assertEquals(lazyLayerCount(7, 30, 12), 7);
 * ```
 */
export function lazyLayerCount(
  choice: LazyLayers,
  layers: number,
  calibrated: number = Math.floor(layers / 2),
): number {
  const count = choice === "auto" ? calibrated : choice;
  if (count <= layers) return count;
  throw new RangeError(
    `Cannot make ${count} layers lazy (EVERSTREAM_LAZY_LAYERS): the model has ${layers}`,
  );
}
