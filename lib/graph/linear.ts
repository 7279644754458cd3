/**
 * How a matrix product is written into the graph. Four lowerings:
 *
 * - `bytes`: weights of 4 and 8 bits are put on a grid of 8 bits for each output, and products are those of
 *   bytes (`byte_products.ts`): the quickest on a CPU for more than one token. Where that would move weights too
 *   far they go as `blocks`.
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
import { type ByteGrid, toByteGrid } from "../weights/byte_grid.ts";
import { toSymmetricBlocks } from "../weights/symmetric_blocks.ts";
import {
  type ByteMatrix,
  byteProduct,
  bytesOfTokens,
  type TokenBytes,
} from "./byte_products.ts";
import {
  type Dimension,
  type FloatType,
  type GraphBuilder,
  MICROSOFT,
} from "./graph_builder.ts";
import { type Matrix, matrixBlocks, matrixTransposed } from "./matrix.ts";

/** How matrix products are lowered. */
export type LinearLowering =
  | { readonly kind: "bytes" }
  | { readonly kind: "blocks"; readonly accuracyLevel: 0 | 4 }
  | { readonly kind: "dispatches" }
  | { readonly kind: "dense" };

/** Weights of a matrix below which a dispatch costs more than reading 4 bits more of each. */
const SMALL_MATRIX = 1 << 22;

/** Error of weights on a grid without offsets, relative to them, from which on offsets are kept. */
const GRID_ERROR = 0.0035;

/** Error of weights on a grid of bytes, relative to them, from which on they stay blocks. */
const BYTE_GRID_ERROR = 0.02;

/** Dimensions of values of tokens: of bytes there are planes between a token and its values. */
export function tokenDims<Size extends Dimension>(
  { kind }: LinearLowering,
  tokens: Size,
  values: number,
): (Size | number)[] {
  return kind === "bytes" ? [tokens, 1, values] : [tokens, values];
}

/**
 * Adds the product of one input with matrices that lie below each other. Those of one kind become a
 * single operator; where kinds differ, their outputs are joined.
 *
 * @param x value whose dimensions are {@linkcode tokenDims}
 * @returns name of the output, likewise, of `Σ rows` values
 */
export async function linear(
  graph: GraphBuilder,
  lowering: LinearLowering,
  x: string,
  name: string,
  matrices: readonly Matrix[],
): Promise<string> {
  const parts = matrices.map((matrix) => form(graph, lowering, matrix));
  const input = new Input(graph, x, parts[0]!.cols, lowering);
  const groups = groupRuns(parts);
  if (groups.length === 1) {
    return await product(graph, lowering, { input, group: parts, name });
  }
  const outputs: string[] = [];
  for (const [i, group] of groups.entries()) {
    const of = { input, group, name: `${name}.part${i}` };
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
  data: { grid: ByteGrid } | { blocks: AffineBlocks } | { matrix: Matrix };
}

function form(
  graph: GraphBuilder,
  lowering: LinearLowering,
  matrix: Matrix,
): Part {
  const { rows, cols } = matrix;
  const blocks = loweredBlocks(lowering, matrix, graph.floats);
  if (blocks && lowering.kind === "bytes") {
    const grid = toByteGrid(matrixTransposed(matrix), rows);
    if (grid.error < BYTE_GRID_ERROR) {
      return { rows, cols, key: "bytes", data: { grid } };
    }
  }
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

/** A product's input in the forms that kinds of matrices want, each added to the graph when first asked for. */
class Input {
  /** Name of the value as it is given. */
  readonly name: string;
  readonly #graph: GraphBuilder;
  readonly #cols: number;
  readonly #lowering: LinearLowering;
  readonly #sums = new Map<number, string>();
  #flat: string | null = null;
  #bytes: TokenBytes | null = null;

  constructor(
    graph: GraphBuilder,
    name: string,
    cols: number,
    lowering: LinearLowering,
  ) {
    this.name = name;
    this.#graph = graph;
    this.#cols = cols;
    this.#lowering = lowering;
  }

  /** Name of the values as `[tokens, cols]`. */
  get flat(): string {
    return this.#flat ??= this.#lowering.kind === "bytes"
      ? this.#graph.node("Reshape", `${this.name}.flat`, [
        this.name,
        this.#graph.int64(`flat_${this.#cols}`, [-1, this.#cols]),
      ])
      : this.name;
  }

  get bytes(): TokenBytes {
    return this.#bytes ??= bytesOfTokens(this.#graph, this.name, this.#cols);
  }

  /** Name of the sums of blocks, `[tokens, cols / blockSize]`. */
  sums(blockSize: number): string {
    const made = this.#sums.get(blockSize);
    if (made) return made;
    const [graph, cols] = [this.#graph, this.#cols];
    const name = `${this.name}.sums${blockSize}`;
    const shape = graph.int64(`blocks.${cols}/${blockSize}`, [
      0,
      cols / blockSize,
      blockSize,
    ]);
    const blocks = graph.node("Reshape", `${name}.blocks`, [this.flat, shape]);
    graph.node("ReduceSum", name, [blocks, graph.int64("last_axis", [-1])], {
      attributes: { keepdims: 0 },
    });
    this.#sums.set(blockSize, name);
    return name;
  }
}

/** Parts of one kind, and what they are multiplied with. */
interface ProductOf {
  readonly input: Input;
  readonly group: readonly Part[];
  readonly name: string;
}

async function product(
  graph: GraphBuilder,
  lowering: LinearLowering,
  of: ProductOf,
): Promise<string> {
  const { input, group, name } = of;
  const rows = group.reduce((sum, part) => sum + part.rows, 0);
  const cols = group[0]!.cols;
  const grids = group.flatMap(({ data }) => "grid" in data ? [data.grid] : []);
  if (grids.length > 0) {
    const matrix = await byteWeights(graph, name, grids, { rows, cols });
    return byteProduct(graph, name, input.bytes, matrix);
  }
  const matrices = group.flatMap(({ data }) =>
    "matrix" in data ? [data.matrix] : []
  );
  if (matrices.length > 0) {
    const columns = matrices.map(matrixTransposed);
    const weight = await graph.weight(
      `${name}.weight`,
      joinColumns(columns, cols, floatArray),
      [cols, rows],
    );
    return graph.node("MatMul", name, [input.name, weight]);
  }
  const tokens = lowering.kind === "bytes" ? `${name}.flat` : name;
  await blockProduct(graph, lowering, { ...of, name: tokens }, { rows, cols });
  if (tokens === name) return name;
  const shape = graph.int64(`tokens_${rows}`, tokenDims(lowering, -1, rows));
  return graph.node("Reshape", name, [tokens, shape]);
}

/** Adds the product of blocks: `[tokens, rows]`. */
async function blockProduct(
  graph: GraphBuilder,
  lowering: LinearLowering,
  { input, group, name }: ProductOf,
  { rows, cols }: { rows: number; cols: number },
): Promise<string> {
  const blocks = group.flatMap(({ data }) =>
    "blocks" in data ? [data.blocks] : []
  );
  const { bits, blockSize, offset } = blocks[0]!;
  const perRow = cols / blockSize;
  const weights = await blockWeights(graph, name, blocks, { rows, cols });
  const y = graph.node("MatMulNBits", offset ? `${name}.scaled` : name, [
    input.flat,
    ...weights,
  ], {
    domain: MICROSOFT,
    attributes: {
      K: cols,
      N: rows,
      bits,
      block_size: blockSize,
      accuracy_level: accuracyLevel(lowering),
    },
  });
  if (!offset) return y;
  const offsets = transpose(
    concat(blocks.map((part) => part.offset!), floatArray),
    rows,
    perRow,
  );
  const weight = await graph.weight(`${name}.offset`, offsets, [perRow, rows]);
  return graph.node("Gemm", name, [input.sums(blockSize), weight, y]);
}

/** How MatMulNBits computes: 4 rounds its input to 8 bits. */
function accuracyLevel(lowering: LinearLowering): 0 | 4 {
  if (lowering.kind === "blocks") return lowering.accuracyLevel;
  return lowering.kind === "bytes" ? 4 : 0;
}

/** Writes matrices on grids that lie below each other, `[rows, cols]` together. */
async function byteWeights(
  graph: GraphBuilder,
  name: string,
  grids: readonly ByteGrid[],
  { rows, cols }: { rows: number; cols: number },
): Promise<ByteMatrix> {
  const codes = joinColumns(grids.map((grid) => grid.codes), cols, codeArray);
  const scale = concat(grids.map((grid) => grid.scale), floatArray);
  const zero = concat(grids.map((grid) => grid.zero), codeArray);
  return {
    codes: await graph.weight(`${name}.codes`, codes, [cols, rows]),
    scale: await graph.weight(`${name}.scale`, scale, [rows]),
    zero: await graph.weight(`${name}.zero`, zero, [rows]),
  };
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

function floatArray(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(length);
}

function codeArray(length: number): Int8Array<ArrayBuffer> {
  return new Int8Array(length);
}

function concat<A extends Uint8Array | Int8Array | Float32Array>(
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
function joinColumns<A extends Int8Array | Float32Array>(
  matrices: readonly A[],
  cols: number,
  allocate: (length: number) => A,
): A {
  if (matrices.length === 1) return matrices[0]!;
  const rows = matrices.reduce((sum, matrix) => sum + matrix.length / cols, 0);
  const joined = allocate(rows * cols);
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
