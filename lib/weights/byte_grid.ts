/**
 * A matrix on a grid of 8 bits for each of its rows, so that its products are products of bytes: as many
 * multiplications at once as a CPU has for those, and sums that are exact, however many rows are taken
 * together.
 *
 * @module
 */

/** Codes are −128 … 127. */
const CODES = 255;
const LEAST = -128;

/** A matrix as `w[r][c] = scale[r] · (codes[c][r] − zero[r])`. */
export interface ByteGrid {
  /** Transposed: `[cols, rows]`. */
  readonly codes: Int8Array<ArrayBuffer>;
  /** `[rows]`. */
  readonly scale: Float32Array<ArrayBuffer>;
  /** The code that stands for 0, `[rows]`. */
  readonly zero: Int8Array<ArrayBuffer>;
  /** Root mean square of the weights' errors, over that of the weights. */
  readonly error: number;
}

/**
 * Puts each weight on the nearest point of its row's grid, which reaches from the row's least weight to its
 * greatest. The error is about 0.008 for trained weights; one weight far from all others makes it large.
 *
 * @param transposed `[cols, rows]`
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { toByteGrid } from "./byte_grid.ts";
 *
 * // One row of three weights, from 0 to 25.5: a step is 0.1, and 0 is the least code.
 * const { codes, scale, zero } = toByteGrid(Float32Array.of(0, 25.5, 1.02), 1);
 * assertEquals([[...codes], scale[0]!.toFixed(4), zero[0]], [[-128, 127, -118], "0.1000", -128]);
 * ```
 */
export function toByteGrid(transposed: Float32Array, rows: number): ByteGrid {
  const { least, most } = reaches(transposed, rows);
  const scale = new Float32Array(rows);
  const zero = new Int8Array(rows);
  for (let r = 0; r < rows; r++) {
    scale[r] = (most[r]! - least[r]!) / CODES;
    zero[r] = scale[r] === 0 ? 0 : LEAST - Math.round(least[r]! / scale[r]!);
  }
  const codes = new Int8Array(transposed.length);
  let [errors, weights] = [0, 0]; // squares
  for (let at = 0, r = 0; at < codes.length; at++, r = (r + 1) % rows) {
    const [weight, step] = [transposed[at]!, scale[r]!];
    const level = step === 0 ? 0 : Math.round(weight / step) + zero[r]!;
    codes[at] = Math.max(LEAST, Math.min(level, LEAST + CODES));
    errors += (step * (codes[at]! - zero[r]!) - weight) ** 2;
    weights += weight ** 2;
  }
  const error = weights === 0 ? 0 : Math.sqrt(errors / weights);
  return { codes, scale, zero, error };
}

/** The least and the greatest weight of each row; 0 is always between them. */
function reaches(
  transposed: Float32Array,
  rows: number,
): { least: Float32Array; most: Float32Array } {
  const [least, most] = [new Float32Array(rows), new Float32Array(rows)];
  for (let at = 0, r = 0; at < transposed.length; at++, r = (r + 1) % rows) {
    const weight = transposed[at]!;
    if (weight < least[r]!) least[r] = weight;
    else if (weight > most[r]!) most[r] = weight;
  }
  return { least, most };
}
