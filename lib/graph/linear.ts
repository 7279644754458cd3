/**
 * How a matrix product is written into the graph. Three lowerings:
 *
 * - `blocks`: weights stay at 4 or 8 bits (ONNX Runtime's MatMulNBits). A weight is
 *   scale·(q − center) + offset for each block; the operator does the first part, and the offsets
 *   are a second product, of the sums of the input's blocks, that is a block size times smaller.
 * - `dispatches`: likewise, but small matrices with offsets are put on a finer grid of 8 bits that
 *   needs none, since each of their dispatches costs a GPU more than reading those bits.
 * - `dense`: f32 MatMul, the fastest and most exact on WebAssembly.
 *
 * @module
 */
import type { AffineBlocks } from "../weights/affine_blocks.ts";
import { toSymmetricBlocks } from "../weights/symmetric_blocks.ts";
import {
  type FloatType,
  type GraphBuilder,
  MICROSOFT,
} from "./graph_builder.ts";
import { type Matrix, matrixBlocks, matrixTransposed } from "./matrix.ts";

/** How matrix products are lowered. */
export type LinearLowering =
  | { readonly kind: "blocks"; readonly accuracyLevel: 0 | 4 }
  | { readonly kind: "dispatches" }
  | { readonly kind: "dense" };

/** Weights of a matrix below which a dispatch costs more than reading 4 bits more of each. */
const SMALL_MATRIX = 1 << 22;

/** Error of weights on a grid without offsets, relative to them, from which on offsets are kept. */
const GRID_ERROR = 0.0035;

/**
 * Adds the product of one input with matrices that lie below each other. Those of one kind become a
 * single operator; where kinds differ, their outputs are joined.
 *
 * @param x value of shape `[tokens, cols]`
 * @returns name of the output, `[tokens, Σ rows]`
 */
export async function linear(
  graph: GraphBuilder,
  lowering: LinearLowering,
  x: string,
  name: string,
  matrices: readonly Matrix[],
): Promise<string> {
  const parts = matrices.map((matrix) => form(graph, lowering, matrix));
  const sums = new BlockSums(graph, x, parts[0]!.cols);
  const groups = groupRuns(parts);
  if (groups.length === 1) {
    return await product(graph, lowering, { x, sums, group: parts, name });
  }
  const outputs: string[] = [];
  for (const [i, group] of groups.entries()) {
    const of = { x, sums, group, name: `${name}.part${i}` };
    outputs.push(await product(graph, lowering, of));
  }
  return graph.node("Concat", name, outputs, { attributes: { axis: -1 } });
}

/** Runs of neighbours that can be one operator. */
function groupRuns(parts: readonly Part[]): Part[][] {
  const groups: Part[][] = [];
  for (const part of parts) {
    const last = groups.at(-1);
    if (last && last[0]!.key === part.key) last.push(part);
    else groups.push([part]);
  }
  return groups;
}

interface Part {
  rows: number;
  cols: number;
  /** Parts of equal key can be joined row by row. */
  key: string;
  data: { blocks: AffineBlocks } | { matrix: Matrix };
}

function form(
  graph: GraphBuilder,
  lowering: LinearLowering,
  matrix: Matrix,
): Part {
  const { rows, cols } = matrix;
  const blocks = loweredBlocks(lowering, matrix, graph.floats);
  return blocks
    ? {
      rows,
      cols,
      key: `${blocks.bits}/${blocks.blockSize}/${blocks.offset !== null}`,
      data: { blocks },
    }
    : { rows, cols, key: "dense", data: { matrix } };
}

/** The blocks in which a matrix goes into a graph that computes in `floats`; `null` if it goes as such. */
export function loweredBlocks(
  lowering: LinearLowering,
  matrix: Matrix,
  floats: FloatType = "float32",
): AffineBlocks | null {
  if (lowering.kind === "dense") return null;
  const blocks = matrixBlocks(matrix);
  const small = matrix.rows * matrix.cols < SMALL_MATRIX;
  if (!blocks || lowering.kind !== "dispatches" || !small) return blocks;
  const rounded = floats === "float16" ? Math.f16round : Math.fround;
  const symmetric = toSymmetricBlocks(blocks, rounded);
  return symmetric.error < GRID_ERROR ? symmetric.blocks : blocks;
}

/** Sums of the input's blocks, added to the graph when first asked for. */
class BlockSums {
  readonly #made = new Map<number, string>();

  constructor(
    readonly graph: GraphBuilder,
    readonly x: string,
    readonly cols: number,
  ) {}

  /** Name of the sums, `[tokens, cols / blockSize]`. */
  of(blockSize: number): string {
    const made = this.#made.get(blockSize);
    if (made) return made;
    const { graph, x, cols } = this;
    const name = `${x}.sums${blockSize}`;
    const shape = graph.int64(`blocks.${cols}/${blockSize}`, [
      0,
      cols / blockSize,
      blockSize,
    ]);
    const blocks = graph.node("Reshape", `${name}.blocks`, [x, shape]);
    graph.node("ReduceSum", name, [blocks, graph.int64("last_axis", [-1])], {
      attributes: { keepdims: 0 },
    });
    this.#made.set(blockSize, name);
    return name;
  }
}

async function product(
  graph: GraphBuilder,
  lowering: LinearLowering,
  of: { x: string; sums: BlockSums; group: Part[]; name: string },
): Promise<string> {
  const { x, sums, group, name } = of;
  const rows = group.reduce((sum, part) => sum + part.rows, 0);
  const cols = group[0]!.cols;
  const blocks = group.flatMap((part) =>
    "blocks" in part.data ? [part.data.blocks] : []
  );
  if (blocks.length === 0) {
    const columns = group.flatMap((part) =>
      "matrix" in part.data ? [part.data.matrix] : []
    );
    const weight = await graph.weight(
      `${name}.weight`,
      joinColumns(columns.map(matrixTransposed), cols),
      [cols, rows],
    );
    return graph.node("MatMul", name, [x, weight]);
  }
  const { bits, blockSize, offset } = blocks[0]!;
  const perRow = cols / blockSize;
  const weights = await blockWeights(graph, name, blocks, { rows, cols });
  const y = graph.node("MatMulNBits", offset ? `${name}.scaled` : name, [
    x,
    ...weights,
  ], {
    domain: MICROSOFT,
    attributes: {
      K: cols,
      N: rows,
      bits,
      block_size: blockSize,
      accuracy_level: lowering.kind === "blocks" ? lowering.accuracyLevel : 0,
    },
  });
  if (!offset) return y;
  const offsets = transpose(
    concat(blocks.map((part) => part.offset!), floatArray),
    rows,
    perRow,
  );
  const weight = await graph.weight(`${name}.offset`, offsets, [perRow, rows]);
  return graph.node("Gemm", name, [sums.of(blockSize), weight, y]);
}

/**
 * Writes matrices of blocks that lie below each other, `[rows, cols]` together.
 *
 * @returns names of the packed integers, `[rows, blocks, bytes]`, and of the scales, `[rows × blocks]`
 */
export async function blockWeights(
  graph: GraphBuilder,
  name: string,
  blocks: readonly AffineBlocks[],
  { rows, cols }: { rows: number; cols: number },
): Promise<[packed: string, scales: string]> {
  const { bits, blockSize } = blocks[0]!;
  const perRow = cols / blockSize;
  const q = concat(blocks.map((part) => part.q), byteArray);
  const scale = concat(blocks.map((part) => part.scale), floatArray);
  return [
    await graph.weight(`${name}.q`, q, [rows, perRow, blockSize * bits / 8]),
    await graph.weight(`${name}.scale`, scale, [rows * perRow]),
  ];
}

function byteArray(length: number): Uint8Array {
  return new Uint8Array(length);
}

function floatArray(length: number): Float32Array {
  return new Float32Array(length);
}

function concat<A extends Uint8Array | Float32Array>(
  arrays: readonly A[],
  allocate: (length: number) => A,
): A {
  if (arrays.length === 1) return arrays[0]!;
  const joined = allocate(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}

function transpose(
  values: Float32Array,
  rows: number,
  cols: number,
): Float32Array {
  const transposed = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      transposed[c * rows + r] = values[r * cols + c]!;
    }
  }
  return transposed;
}

/** Joins matrices `[cols, rowsᵢ]` side by side. */
function joinColumns(
  matrices: readonly Float32Array[],
  cols: number,
): Float32Array {
  if (matrices.length === 1) return matrices[0]!;
  const rows = matrices.reduce((sum, matrix) => sum + matrix.length / cols, 0);
  const joined = new Float32Array(rows * cols);
  let at = 0;
  for (const matrix of matrices) {
    const width = matrix.length / cols;
    for (let c = 0; c < cols; c++) {
      joined.set(matrix.subarray(c * width, (c + 1) * width), c * rows + at);
    }
    at += width;
  }
  return joined;
}
