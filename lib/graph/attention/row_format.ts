/**
 * How the rows of a cache are kept, in plain ONNX operators: as they are, or as codes of 16, 8 or 4 bits
 *  with one scale a row and head.
 *
 * A row is quantised once, in the run that computes it, and all queries of that run see it as later
 * ones will: so the logits do not depend on how a prompt is cut. Codes are symmetric (−m … m, no zero
 * point), which needs no group of tokens: evicting still overwrites one row. 4-bit rows are turned by a
 * Hadamard matrix first, which spreads the few large channels of keys over all of them (QuaRot, arXiv
 * 2404.00456); scores do not change if queries are turned as well, and mixed values are turned back.
 *
 * @module
 */
import type { RowType } from "../../cache/layout.ts";
import type { GraphBuilder } from "../graph_builder.ts";

/** Tensors that a row is divided into. */
export interface RowPart {
  /** Behind the name of what is kept. */
  readonly suffix: string;
  readonly type: RowType;
  readonly width: number;
}

/** A way to keep rows. */
export interface RowFormat {
  readonly name: "f32" | "int16" | "int8" | "int4";
  /** Whether rows are turned by {@linkcode hadamard}. */
  readonly turned: boolean;
  /** What a row of `width` values is kept as. */
  parts(width: number): readonly RowPart[];
  /**
   * Adds the nodes that make new rows `[batch, heads, chunk, width]` into what is kept.
   *
   * @returns the parts, and the rows as queries will see them
   */
  encode(
    graph: GraphBuilder,
    name: string,
    rows: string,
  ): { parts: readonly string[]; seen: string };
  /** Adds the nodes that make kept columns `[batch, heads, 1, width, tokens]` into f32 ones. */
  decode(
    graph: GraphBuilder,
    name: string,
    parts: readonly string[],
    width: number,
  ): string;
}

const SCALE: RowPart = { suffix: "_scale", type: "float32", width: 1 };

/** Rows as they are computed. */
export const F32_ROWS: RowFormat = {
  name: "f32",
  turned: false,
  parts: (width) => [{ suffix: "", type: "float32", width }],
  encode: (_graph, _name, rows) => ({ parts: [rows], seen: rows }),
  decode: (_graph, _name, [columns]) => columns!,
};

/** Rows of 16 bits: codes −32767 … 32767, finer than f16, which onnxruntime-node does not take from Deno. */
export const INT16_ROWS: RowFormat = integerRows("int16", 32_767);

/** Rows of 8 bits: codes −127 … 127. */
export const INT8_ROWS: RowFormat = integerRows("int8", 127);

function integerRows(type: "int16" | "int8", most: number): RowFormat {
  return {
    name: type,
    turned: false,
    parts: (width) => [{ suffix: `_${type}`, type, width }, SCALE],
    encode(graph, name, rows) {
      const { codes, scale, seen } = quantise(graph, name, rows, most);
      return {
        parts: [graph.cast(`${name}.${type}`, codes, type), scale],
        seen,
      };
    },
    decode: (graph, name, [codes, scale], width) =>
      graph.node("DequantizeLinear", `${name}.f32`, [codes!, scale!], {
        attributes: { axis: 3, block_size: width },
      }),
  };
}

/** Rows of 4 bits: codes −7 … 7, of values i and i + width / 2 in one byte. */
export const INT4_ROWS: RowFormat = {
  name: "int4",
  turned: true,
  parts: (width) => [
    { suffix: "_int4", type: "int8", width: width / 2 },
    SCALE,
  ],
  encode(graph, name, rows) {
    const { codes, scale, seen } = quantise(graph, name, rows, 7);
    const [low, high] = [`${name}.low`, `${name}.high`];
    graph.nodes("Split", [low, high], [codes], {
      attributes: { axis: -1, num_outputs: 2 },
    });
    const raised = graph.node("Mul", `${name}.raised`, [
      high,
      graph.constant("sixteen", Float32Array.of(16), []),
    ]);
    const packed = graph.node("Add", `${name}.packed`, [low, raised]);
    return { parts: [graph.cast(`${name}.int4`, packed, "int8"), scale], seen };
  },
  decode(graph, name, [codes, scale]) {
    const packed = graph.node("DequantizeLinear", `${name}.bytes`, [
      codes!,
      graph.constant("one", Float32Array.of(1), []),
    ]);
    const shifted = graph.node("Mul", `${name}.shifted`, [
      packed,
      graph.constant("sixteenth", Float32Array.of(1 / 16), []),
    ]);
    const high = graph.node("Round", `${name}.high`, [shifted]); // |low| / 16 < 1/2
    const raised = graph.node("Mul", `${name}.raised`, [
      high,
      graph.constant("sixteen", Float32Array.of(16), []),
    ]);
    const low = graph.node("Sub", `${name}.low`, [packed, raised]);
    const whole = graph.node("Concat", `${name}.codes`, [low, high], {
      attributes: { axis: -2 },
    });
    return graph.node("Mul", `${name}.f32`, [whole, scale!]);
  },
};

/** Codes `−most … most` of each row, still as floats, with the row's scale. */
function quantise(
  graph: GraphBuilder,
  name: string,
  rows: string,
  most: number,
): { codes: string; scale: string; seen: string } {
  const size = graph.node("Abs", `${name}.size`, [rows]);
  const largest = graph.node("ReduceMax", `${name}.largest`, [
    size,
    graph.int64("last_axis", [-1]),
  ], { attributes: { keepdims: 1 } });
  // A row of zeros (an idle slot's) has codes of zero, whatever its scale.
  const positive = graph.node("Max", `${name}.positive`, [
    largest,
    graph.constant("least_row", Float32Array.of(1e-20), []),
  ]);
  const scale = graph.node("Mul", `${name}.scale`, [
    positive,
    graph.constant(`one_of_${most}`, Float32Array.of(1 / most), []),
  ]);
  const scaled = graph.node("Div", `${name}.scaled`, [rows, scale]);
  const codes = graph.node("Round", `${name}.codes`, [scaled]);
  return {
    codes,
    scale,
    seen: graph.node("Mul", `${name}.seen`, [codes, scale]),
  };
}

/** Adds the nodes that turn vectors by {@linkcode hadamard}; twice is not at all. */
export function turn(
  graph: GraphBuilder,
  name: string,
  { vectors, width }: { vectors: string; width: number },
): string {
  const matrix = graph.constant("hadamard", hadamard(width), [width, width]);
  return graph.node("MatMul", name, [vectors, matrix]);
}

/**
 * A symmetric orthonormal matrix `[width, width]` whose blocks are Hadamard matrices, as large as the
 * largest power of 2 that divides the width.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { hadamard } from "./row_format.ts";
 * const h = Math.fround(Math.SQRT1_2);
 * assertEquals([...hadamard(2)], [h, h, h, -h]);
 * ```
 */
export function hadamard(width: number): Float32Array<ArrayBuffer> {
  const block = width & -width;
  const matrix = new Float32Array(width * width);
  for (let row = 0; row < width; row++) {
    const first = row - row % block;
    for (let column = first; column < first + block; column++) {
      const odd = bitCount(row & column & (block - 1)) % 2 === 1;
      matrix[row * width + column] = (odd ? -1 : 1) / Math.sqrt(block);
    }
  }
  return matrix;
}

function bitCount(value: number): number {
  let count = 0;
  for (let bits = value; bits > 0; bits &= bits - 1) count++;
  return count;
}
