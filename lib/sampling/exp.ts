/**
 * An exponential for the sampler's range, without branches: a vocabulary of `Math.exp`, which has some that no
 * predictor guesses, takes two to three times as long, and is most of what a choice costs.
 *
 * @module
 */

/** The largest argument of {@linkcode expNegative}: e⁻⁶⁴ of a vocabulary of 2³⁰ is below the rounding of 1. */
export const EXP_NEGATIVE_LIMIT = 64;

const STEPS = 64;
const STEP_HIGH = Math.round((Math.LN2 / STEPS) * 2 ** 46) / 2 ** 46; // Its multiples up to 2¹³ are exact.
const STEP_LOW = Math.LN2 / STEPS - STEP_HIGH + 2.319046813846e-17 / STEPS; // ln 2 = Math.LN2 + 2.3 × 10⁻¹⁷
const PER_STEP = STEPS / Math.LN2;
const POWERS = Float64Array.from(
  { length: Math.ceil(EXP_NEGATIVE_LIMIT * PER_STEP) + 2 },
  (_, k) => 2 ** (-k / STEPS),
);

/**
 * e⁻ᵈ within 10⁻¹⁵ of itself: 2^(-k/64) from a table, times a polynomial of the rest, at most ln 2 / 128.
 *
 * @param d In [0, {@linkcode EXP_NEGATIVE_LIMIT}]; beyond it the result is NaN. 0 gives exactly 1.
 */
export function expNegative(d: number): number {
  const k = (d * PER_STEP + 0.5) | 0;
  const r = k * STEP_HIGH - d + k * STEP_LOW;
  return POWERS[k]! *
    (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120))))));
}
