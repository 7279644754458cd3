/**
 * Rows of few bits in f64 by their definition, to compare codecs and engines with.
 *
 * @module
 */

/** Bits of an element; 32 is exact. */
export type RowBits = 32 | 16 | 8 | 4;

/** How a conversation's rows are kept. */
export interface RowDefinition {
  keys(layer: number): RowBits;
  values(layer: number): RowBits;
  /** The latest positions behind the sinks that are read exactly. */
  readonly tailRows: number;
}

/** A row as it is read back. */
export interface ReadRow {
  readonly row: Float64Array;
  /** Distance of its value nearest to the middle of two codes from there, in codes. */
  readonly doubt: number;
}

/** The largest code of so many bits. */
export function largestCode(bits: Exclude<RowBits, 32>): number {
  return 2 ** (bits - 1) - 1;
}

/**
 * Encodes a row by definition and decodes it: its scale is its largest magnitude over the largest code,
 * each value the nearest multiple of that. 4 bits are those of the row times {@linkcode hadamardMatrix}.
 */
export function readBack(row: Float64Array, bits: RowBits): ReadRow {
  if (bits === 32) return { row, doubt: Infinity };
  if (bits === 4) {
    const turned = multiplied(row, hadamardMatrix(row.length));
    const read = nearest(turned, largestCode(bits));
    const matrix = hadamardMatrix(row.length);
    return { ...read, row: multiplied(read.row, matrix) };
  }
  return nearest(row, largestCode(bits));
}

function nearest(row: Float64Array, most: number): ReadRow {
  const scale = Math.max(...row.map(Math.abs)) / most;
  if (scale === 0) return { row, doubt: Infinity };
  let doubt = Infinity;
  const read = row.map((value) => {
    const code = Math.round(value / scale);
    doubt = Math.min(doubt, 0.5 - Math.abs(value / scale - code));
    return code * scale;
  });
  return { row: read, doubt };
}

const MATRICES = new Map<number, Float64Array>();

/**
 * Sylvester's matrix, orthonormal, for each run of as many values as the largest power of 2 that divides
 * the width: the sign at (i, j) is that of the bits that i and j have in common.
 */
export function hadamardMatrix(width: number): Float64Array {
  const known = MATRICES.get(width);
  if (known) return known;
  let block = 1;
  while (width % (2 * block) === 0) block *= 2;
  const matrix = Float64Array.from({ length: width * width }, (_, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    if (Math.floor(i / block) !== Math.floor(j / block)) return 0;
    const common = (i % block) & (j % block);
    const ones = [...common.toString(2)].filter((bit) => bit === "1").length;
    return (ones % 2 === 0 ? 1 : -1) / Math.sqrt(block);
  });
  MATRICES.set(width, matrix);
  return matrix;
}

/** `row · matrix [width, width]` */
export function multiplied(
  row: Float64Array,
  matrix: Float64Array,
): Float64Array {
  const width = row.length;
  return row.map((_, j) =>
    row.reduce((sum, value, i) => sum + value * matrix[i * width + j]!, 0)
  );
}
