/**
 * How a row of f32 becomes integers and back, in arithmetic alone: codes −m … m of 16, 8 or 4 bits, and
 * one scale a row. No zero point and no group of tokens, so that evicting still overwrites one row.
 *
 * Rows of 4 bits are turned by a Hadamard matrix first, which spreads their few large channels over all
 * of them (QuaRot, arXiv 2404.00456): with that, a scale for each row costs less than KIVI's groups
 * (arXiv 2402.02750) and loses no more.
 *
 * @module
 */
import type { RowData } from "./layer_memory.ts";
import type { RowType } from "./layout.ts";

/** A tensor of what a row is kept as. */
export interface RowPart {
  /** Behind the name of what is kept. */
  readonly suffix: string;
  readonly type: RowType;
  readonly width: number;
}

/** A way to keep rows. */
export interface RowCodec {
  readonly name: "int16" | "int8" | "int4";
  /** Whether rows are turned by {@linkcode hadamard} before. */
  readonly turned: boolean;
  /** What a row of `width` values is kept as. */
  parts(width: number): readonly RowPart[];
  /**
   * Encodes rows.
   *
   * @param rows `[rows, width]`
   * @returns by part: `[rows, part's width]`
   */
  encode(rows: Float32Array, width: number): RowData[];
}

/** Codes of 16 bits: finer than f16, which onnxruntime-node does not take from Deno. */
export const INT16_CODEC: RowCodec = plainCodec("int16", 32_767);

/** Codes of 8 bits. */
export const INT8_CODEC: RowCodec = plainCodec("int8", 127);

/** Codes of 4 bits: those of values i and i + width / 2 in one byte, as 16 · high + low. */
export const INT4_CODEC: RowCodec = {
  name: "int4",
  turned: true,
  parts: (width) => [
    { suffix: "_int4", type: "int8", width: width / 2 },
    SCALE,
  ],
  encode(rows, width) {
    const turned = rows.slice();
    for (let at = 0; at < turned.length; at += width) {
      turn(turned.subarray(at, at + width));
    }
    const codes = new Int8Array(turned.length);
    const scales = quantise(turned, { width, most: 7, codes });
    const half = width / 2;
    const packed = new Int8Array(turned.length / 2);
    for (let row = 0; row < scales.length; row++) {
      for (let i = 0; i < half; i++) {
        const [low, high] = [row * width + i, row * width + half + i];
        packed[row * half + i] = 16 * codes[high]! + codes[low]!;
      }
    }
    return [packed, scales];
  },
};

const SCALE: RowPart = { suffix: "_scale", type: "float32", width: 1 };

function plainCodec(type: "int16" | "int8", most: number): RowCodec {
  const Codes = type === "int16" ? Int16Array : Int8Array;
  return {
    name: type,
    turned: false,
    parts: (width) => [{ suffix: `_${type}`, type, width }, SCALE],
    encode(rows, width) {
      const codes = new Codes(rows.length);
      return [codes, quantise(rows, { width, most, codes })];
    },
  };
}

/** Fills in codes `−most … most`; gives each row's scale. */
function quantise(
  rows: Float32Array,
  { width, most, codes }: {
    width: number;
    most: number;
    codes: Int16Array | Int8Array;
  },
): Float32Array<ArrayBuffer> {
  const scales = new Float32Array(rows.length / width);
  for (let row = 0; row < scales.length; row++) {
    const [from, to] = [row * width, (row + 1) * width];
    let largest = 0;
    for (let i = from; i < to; i++) {
      const size = Math.abs(rows[i]!);
      if (size > largest) largest = size;
    }
    const scale = Math.fround(largest / most);
    scales[row] = scale;
    if (scale === 0) continue; // all codes stay 0
    for (let i = from; i < to; i++) {
      const code = Math.floor(rows[i]! / scale + 0.5); // Math.round takes 4 times as long
      codes[i] = code > most ? most : code < -most ? -most : code;
    }
  }
  return scales;
}

/** Turns a vector by {@linkcode hadamard} in place; twice is not at all. */
export function turn(vector: Float32Array): void {
  const block = hadamardBlock(vector.length);
  for (let half = 1; half < block; half *= 2) {
    for (let first = 0; first < vector.length; first += 2 * half) {
      for (let i = first; i < first + half; i++) {
        const a = vector[i]!;
        const b = vector[i + half]!;
        vector[i] = a + b;
        vector[i + half] = a - b;
      }
    }
  }
  const scale = 1 / Math.sqrt(block);
  for (let i = 0; i < vector.length; i++) vector[i]! *= scale;
}

/**
 * A symmetric orthonormal matrix `[width, width]` whose blocks are Hadamard matrices.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { hadamard } from "./row_codec.ts";
 * const h = Math.fround(Math.SQRT1_2);
 * assertEquals([...hadamard(2)], [h, h, h, -h]);
 * ```
 */
export function hadamard(width: number): Float32Array<ArrayBuffer> {
  const matrix = new Float32Array(width * width);
  for (let row = 0; row < width; row++) {
    const vector = matrix.subarray(row * width, (row + 1) * width);
    vector[row] = 1;
    turn(vector);
  }
  return matrix;
}

/** The largest power of 2 that divides the width. */
function hadamardBlock(width: number): number {
  return width & -width;
}
