/**
 * A weight matrix on its way from the file into the graph: rows still packed as the file has them,
 * so that they can be reordered and joined before they are unpacked.
 *
 * @module
 */
import { type AffineBlocks, toAffineBlocks } from "../weights/affine_blocks.ts";
import { dequantize } from "../weights/dequantize.ts";
import type { GgmlTypeName } from "../weights/ggml_types.ts";
import type { GgufFile } from "../weights/gguf.ts";

/** A matrix `[rows, cols]` that maps `cols` inputs to `rows` outputs. */
export interface Matrix {
  readonly type: GgmlTypeName;
  readonly rows: number;
  readonly cols: number;
  /** Packed rows, `rows × rowBytes`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Multiplies every weight: a factor that costs nothing when folded in here. */
  readonly factor: number;
}

/**
 * Reads a matrix and checks its shape.
 *
 * @throws {TypeError} if the tensor's shape is not `[rows, cols]`.
 */
export async function readMatrix(
  file: GgufFile,
  name: string,
  shape: { rows: number; cols: number },
): Promise<Matrix> {
  const info = file.tensors.get(name);
  const found = info ? `[${info.shape.join(", ")}]` : "missing";
  if (
    !info || info.shape.length !== 2 || info.shape[0] !== shape.rows ||
    info.shape[1] !== shape.cols
  ) {
    throw new TypeError(
      `Cannot use tensor "${name}": [${shape.rows}, ${shape.cols}] is needed, it is ${found}`,
    );
  }
  return { type: info.type, ...shape, bytes: await file.read(name), factor: 1 };
}

/** The same matrix with row `order[i]` as its row `i`. */
export function reorderRows(matrix: Matrix, order: ArrayLike<number>): Matrix {
  const rowBytes = matrix.bytes.length / matrix.rows;
  const bytes = new Uint8Array(matrix.bytes.length);
  for (let i = 0; i < matrix.rows; i++) {
    const from = order[i]! * rowBytes;
    bytes.set(matrix.bytes.subarray(from, from + rowBytes), i * rowBytes);
  }
  return { ...matrix, bytes };
}

/** The matrix as blocks of 4- or 8-bit integers, or `null` if its type is a float. */
export function matrixBlocks(matrix: Matrix): AffineBlocks | null {
  const blocks = toAffineBlocks(
    matrix.type,
    matrix.bytes,
    matrix.rows,
    matrix.cols,
  );
  if (!blocks || matrix.factor === 1) return blocks;
  return {
    ...blocks,
    scale: blocks.scale.map((value) => value * matrix.factor),
    offset: blocks.offset?.map((value) => value * matrix.factor) ?? null,
  };
}

/** The matrix in f32, transposed: `[cols, rows]`, as ONNX's MatMul takes it. */
export function matrixTransposed(matrix: Matrix): Float32Array<ArrayBuffer> {
  const { rows, cols, factor } = matrix;
  const values = dequantize(matrix.type, matrix.bytes, rows * cols);
  const transposed = new Float32Array(rows * cols);
  const tile = 32; // keeps both sides in the cache
  for (let r0 = 0; r0 < rows; r0 += tile) {
    const r1 = Math.min(rows, r0 + tile);
    for (let c = 0; c < cols; c++) {
      for (let r = r0; r < r1; r++) {
        transposed[c * rows + r] = values[r * cols + c]! * factor;
      }
    }
  }
  return transposed;
}
