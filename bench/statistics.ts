/** The arithmetic of the measurements: medians and distances of distributions. @module */

/**
 * The middle value; of an even count the mean of the middle two.
 *
 * @throws {RangeError} if there is no value.
 */
export function median(values: ArrayLike<number>): number {
  if (values.length === 0) {
    throw new RangeError("Cannot take the median of no values");
  }
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The least value that `share` of the values do not exceed (nearest rank).
 *
 * @throws {RangeError} if there is no value.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { percentile } from "./statistics.ts";
 * assertEquals(percentile([30, 10, 20, 40], 0.5), 20);
 * ```
 */
export function percentile(values: ArrayLike<number>, share: number): number {
  if (values.length === 0) {
    throw new RangeError("Cannot take a percentile of no values");
  }
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/** How values spread: the usual one, one that 99 of 100 do not exceed, and the largest. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * The spread of the values.
 *
 * @throws {RangeError} if there is no value.
 */
export function spreadOf(values: ArrayLike<number>): Spread {
  return {
    p50: median(values),
    p99: percentile(values, 0.99),
    max: percentile(values, 1),
  };
}

/** The sum of the values. */
export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** Index of the largest value, the first of equals. */
export function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! > values[best]!) best = i;
  }
  return best;
}

/** ln Σ exp(logits), in f64. */
export function logSumExp(logits: Float32Array): number {
  const max = logits[argMax(logits)]!;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - max);
  return max + Math.log(total);
}

/**
 * KL(reference ‖ other) of two distributions given as logits, in nats.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { klDivergence } from "./statistics.ts";
 * // A fair coin against one that shows heads three times of four.
 * const other = Float32Array.of(Math.log(3), 0);
 * assertAlmostEquals(klDivergence(new Float32Array(2), other), Math.log(4) - Math.log(12) / 2, 1e-6);
 * ```
 */
export function klDivergence(
  reference: Float32Array,
  other: Float32Array,
): number {
  const p0 = logSumExp(reference);
  const q0 = logSumExp(other);
  let total = 0;
  for (let i = 0; i < reference.length; i++) {
    const p = reference[i]! - p0;
    total += Math.exp(p) * (p - (other[i]! - q0));
  }
  return total;
}
