/** What may never enter a cache. @module */

/**
 * Checks new rows: a hidden row still counts, with weight 0, and 0 · NaN is NaN.
 *
 * @throws {Error} if some are no numbers
 */
export function checkFinite(what: string, values: Float32Array): void {
  let sum = 0; // f64: finite f32 values cannot make it overflow
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  if (!Number.isFinite(sum)) {
    throw new Error(`The engine gave ${what} that are no numbers`);
  }
}
