/** Values of command lines, each checked as it is read. @module */

/**
 * A whole number.
 *
 * @throws {RangeError} if it is none, or below `least`.
 */
export function whole(option: string, value: string, least: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && Number.isSafeInteger(number)) {
    return number;
  }
  throw wrong(option, value, `give a whole number from ${least}`);
}

/**
 * Whole numbers with commas between them, each once, in ascending order.
 *
 * @throws {RangeError} if one is none, or below `least`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { wholes } from "./arguments.ts";
 * assertEquals(wholes("--streams", "8,1,4,4", 1), [1, 4, 8]);
 * ```
 */
export function wholes(option: string, list: string, least: number): number[] {
  const numbers = list.split(",").map((value) => whole(option, value, least));
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/**
 * A number over 0.
 *
 * @throws {RangeError} if it is none.
 */
export function positive(option: string, value: string): number {
  const number = decimal(value);
  if (number > 0) return number;
  throw wrong(option, value, "give a number over 0");
}

/**
 * A share of a whole, from 0 to 1.
 *
 * @throws {RangeError} if it is none.
 */
export function share(option: string, value: string): number {
  const number = decimal(value);
  if (number >= 0 && number <= 1) return number;
  throw wrong(option, value, "give a number from 0 to 1");
}

/**
 * One of the known names.
 *
 * @throws {RangeError} if it is another.
 */
export function member<T extends string>(
  option: string,
  value: string,
  known: readonly T[],
): T {
  const found = known.find((name) => name === value);
  if (found !== undefined) return found;
  throw wrong(option, value, `known are ${known.join(", ")}`);
}

function decimal(value: string): number {
  return /^(\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : NaN;
}

function wrong(option: string, value: string, advice: string): RangeError {
  return new RangeError(
    `Cannot use ${option} ${JSON.stringify(value)}: ${advice}`,
  );
}
