/**
 * How the rows of a ring are read by a graph, in plain ONNX operators: as they are, or decoded from
 * integers (`lib/cache/row_codec.ts`) in each run.
 *
 * @module
 */
import {
  hadamard,
  INT16_CODEC,
  INT4_CODEC,
  INT8_CODEC,
  type RowCodec,
  type RowPart,
} from "../../cache/row_codec.ts";
import type { GraphBuilder } from "../graph_builder.ts";

/** A way to keep rows. */
export interface RowFormat {
  readonly name: "f32" | RowCodec["name"];
  /** How rows are encoded; `null` if they are kept as they are. */
  readonly codec: RowCodec | null;
  /** What a row of `width` values is kept as. */
  parts(width: number): readonly RowPart[];
  /** Adds the nodes that make kept columns `[batch, heads, 1, width, tokens]` into f32 ones. */
  decode(
    graph: GraphBuilder,
    name: string,
    parts: readonly string[],
    width: number,
  ): string;
}

/** Rows as they are computed. */
export const F32_ROWS: RowFormat = {
  name: "f32",
  codec: null,
  parts: (width) => [{ suffix: "", type: "float32", width }],
  decode: (_graph, _name, [columns]) => columns!,
};

/** Rows of 16 bits. */
export const INT16_ROWS: RowFormat = integerRows(INT16_CODEC);

/** Rows of 8 bits. */
export const INT8_ROWS: RowFormat = integerRows(INT8_CODEC);

/** Rows of 4 bits. */
export const INT4_ROWS: RowFormat = {
  name: "int4",
  codec: INT4_CODEC,
  parts: (width) => INT4_CODEC.parts(width),
  decode(graph, name, [codes, scale]) {
    const number = (of: string, value: number) =>
      graph.constant(of, Float32Array.of(value), []);
    const packed = graph.node("DequantizeLinear", `${name}.bytes`, [
      codes!,
      number("one", 1),
    ]);
    const shifted = graph.node("Mul", `${name}.shifted`, [
      packed,
      number("sixteenth", 1 / 16),
    ]);
    const high = graph.node("Round", `${name}.high`, [shifted]); // |low| / 16 < 1/2
    const raised = graph.node("Mul", `${name}.raised`, [
      high,
      number("sixteen", 16),
    ]);
    const low = graph.node("Sub", `${name}.low`, [packed, raised]);
    const both = graph.node("Concat", `${name}.codes`, [low, high], {
      attributes: { axis: -2 },
    });
    return graph.node("Mul", `${name}.f32`, [both, scale!]);
  },
};

function integerRows(codec: RowCodec): RowFormat {
  return {
    name: codec.name,
    codec,
    parts: (width) => codec.parts(width),
    decode: (graph, name, [codes, scale], width) =>
      graph.node("DequantizeLinear", `${name}.f32`, [codes!, scale!], {
        attributes: { axis: 3, block_size: width },
      }),
  };
}

/** Adds the nodes that turn vectors by {@linkcode hadamard}, if a format's rows are. */
export function turned(
  graph: GraphBuilder,
  name: string,
  { vectors, width, by }: { vectors: string; width: number; by: RowFormat },
): string {
  if (!by.codec?.turned) return vectors;
  const matrix = graph.constant("hadamard", hadamard(width), [width, width]);
  return graph.node("MatMul", name, [vectors, matrix]);
}
