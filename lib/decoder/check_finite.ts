/** What may never enter a cache, nor be sampled from. @module */

/** Whether all values are numbers. */
export function allFinite(values: Float32Array): boolean {
  let sum = 0; // f64: finite f32 values cannot make it overflow
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return Number.isFinite(sum);
}

/**
 * Checks new rows: a hidden row still counts, with weight 0, and 0 · NaN is NaN.
 *
 * @throws {Error} if some are no numbers
 */
export function checkFinite(what: string, values: Float32Array): void {
  if (!allFinite(values)) {
    throw new Error(`The engine gave ${what} that are no numbers`);
  }
}
