/** From values to places on an axis, and which values to name there. @module */

/** An axis. */
export interface Axis {
  /** Where a value is: 0 at the axis's beginning, 1 at its end. */
  share(value: number): number;
  /** Values to name, between both. */
  readonly ticks: readonly number[];
}

/** Most names on a linear axis. */
const MOST_TICKS = 8;

/**
 * Equal distances for equal differences.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { linearAxis } from "./axis.ts";
 * const { share, ticks } = linearAxis(0, 600);
 * assertEquals([share(150), ticks], [0.25, [0, 100, 200, 300, 400, 500, 600]]);
 * ```
 */
export function linearAxis(low: number, high: number): Axis {
  const power = 10 ** Math.floor(Math.log10((high - low) / MOST_TICKS));
  const step = [1, 2, 5, 10].map((digit) => digit * power)
    .find((step) => (high - low) / step <= MOST_TICKS)!;
  const first = Math.ceil(low / step);
  return {
    share: (value) => (value - low) / (high - low),
    ticks: Array.from(
      { length: Math.floor(high / step) - first + 1 },
      (_, i) => Number(((first + i) * step).toPrecision(6)),
    ),
  };
}

/**
 * Equal distances for equal ratios. Names are multiples of powers of a base.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals, assertEquals } from "@std/assert";
 * import { logAxis } from "./axis.ts";
 * const { share, ticks } = logAxis(5, 80, { base: 2 });
 * assertAlmostEquals(share(20), 0.5, 1e-12);
 * assertEquals(ticks, [8, 16, 32, 64]);
 * ```
 */
export function logAxis(
  low: number,
  high: number,
  { base, multiples = [1] }: { base: number; multiples?: readonly number[] },
): Axis {
  const ticks: number[] = [];
  const exponent = Math.floor(Math.log(low) / Math.log(base));
  for (let power = base ** exponent; power < high; power *= base) {
    ticks.push(...multiples.map((multiple) => multiple * power));
  }
  return {
    share: (value) => Math.log(value / low) / Math.log(high / low),
    ticks: ticks.filter((value) => value > low && value < high),
  };
}
