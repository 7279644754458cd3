/**
 * Losses along a text as perplexities, and whether they drift. A loss is −ln of the probability
 * that was given to the text's next token; its index is the position of the token before.
 *
 * @module
 */

/** Mean, and how far it may be off: the standard error of independent values. */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number;
}

/** Mean of the values and its standard error; of one value the error is 0. */
export function estimate(values: ArrayLike<number>): Estimate {
  const count = values.length;
  let total = 0;
  for (let i = 0; i < count; i++) total += values[i]!;
  const mean = total / count;
  let squares = 0;
  for (let i = 0; i < count; i++) squares += (values[i]! - mean) ** 2;
  const variance = count > 1 ? squares / (count - 1) : 0;
  return { mean, standardError: Math.sqrt(variance / count) };
}

/**
 * Perplexity of losses: exp of their mean.
 *
 * @throws {RangeError} if there are none.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { perplexity } from "./series.ts";
 * // Each token had one chance in eight.
 * assertAlmostEquals(perplexity([Math.log(8), Math.log(8)]), 8, 1e-12);
 * ```
 */
export function perplexity(losses: ArrayLike<number>): number {
  if (losses.length === 0) {
    throw new RangeError("Cannot take the perplexity of no losses");
  }
  return Math.exp(estimate(losses).mean);
}

/**
 * A figure of each stretch of `size` values; a last one that is shorter is left out.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { stretches } from "./series.ts";
 * assertEquals(stretches([1, 2, 3, 4, 5], 2, (values) => Math.max(...values)), [2, 4]);
 * ```
 */
export function stretches(
  values: readonly number[],
  size: number,
  figure: (stretch: readonly number[]) => number,
): number[] {
  return Array.from(
    { length: Math.floor(values.length / size) },
    (_, i) => figure(values.slice(i * size, (i + 1) * size)),
  );
}

/** How much better or worse one is than another on the same tokens. */
export interface PerplexityRatio {
  readonly tokens: number;
  readonly ratio: number;
  /** Of the ratio, from the paired differences of the losses. */
  readonly standardError: number;
}

/**
 * Perplexity of `losses` over that of `others`, token by token the same text.
 *
 * @throws {RangeError} if they are not as many, or none.
 */
export function perplexityRatio(
  losses: ArrayLike<number>,
  others: ArrayLike<number>,
): PerplexityRatio {
  const { mean, standardError } = estimate(differences(losses, others));
  const ratio = Math.exp(mean);
  return { tokens: losses.length, ratio, standardError: ratio * standardError };
}

/** A straight line through differences of losses along the text. */
export interface Drift {
  /** By what factor the ratio of perplexities grows over 10,000 tokens. */
  readonly per10000: number;
  /** Of that factor. */
  readonly standardError: number;
}

/**
 * Whether `losses` fall behind `others` along the text: least squares through their differences.
 *
 * @throws {RangeError} if they are not as many, or less than three.
 */
export function drift(
  positions: ArrayLike<number>,
  losses: ArrayLike<number>,
  others: ArrayLike<number>,
): Drift {
  const values = differences(losses, others);
  const count = values.length;
  if (count < 3 || positions.length !== count) {
    throw new RangeError(
      `Cannot draw a line through ${count} losses at ${positions.length} positions: give 3 or more`,
    );
  }
  const middle = estimate(positions).mean;
  const { mean } = estimate(values);
  let [covariance, variance] = [0, 0];
  for (let i = 0; i < count; i++) {
    const offset = positions[i]! - middle;
    covariance += offset * (values[i]! - mean);
    variance += offset ** 2;
  }
  const slope = covariance / variance;
  let squares = 0;
  for (let i = 0; i < count; i++) {
    squares += (values[i]! - mean - slope * (positions[i]! - middle)) ** 2;
  }
  const error = Math.sqrt(squares / (count - 2) / variance);
  const per10000 = Math.exp(slope * 10_000);
  return { per10000, standardError: per10000 * error * 10_000 };
}

function differences(
  losses: ArrayLike<number>,
  others: ArrayLike<number>,
): Float64Array {
  if (losses.length !== others.length || losses.length === 0) {
    throw new RangeError(
      `Cannot compare ${losses.length} losses with ${others.length}`,
    );
  }
  return Float64Array.from(losses, (loss, i) => loss - others[i]!);
}
