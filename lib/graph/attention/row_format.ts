/**
 * How a graph multiplies with the rows of a ring, in plain ONNX operators: as they are, decoded from
 * integers (`lib/cache/row_codec.ts`) in each run, or as the integers that they are. (Where our own kernel attends,
 * see `attended.ts`, this is for chunks of several tokens.)
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
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import { integerMix, integerScores } from "./integer_products.ts";
import { byBlock, type Ring } from "./ring.ts";

/** A way to keep rows. */
export interface RowFormat {
  readonly name: "f32" | RowCodec["name"];
  /** How rows are encoded; `null` if they are kept as they are. */
  readonly codec: RowCodec | null;
  /** Whether a token is a row of the tensors, not a column. */
  readonly byRow: { readonly keys: boolean; readonly values: boolean };
  /** What a row of `width` values is kept as. */
  parts(width: number): readonly RowPart[];
  /** Adds the nodes of queries' scores, by block: `[batch, kvHeads, group, chunk, rows]`. */
  scores(
    graph: GraphBuilder,
    name: string,
    of: { query: string; ring: Ring },
  ): readonly string[];
  /**
   * Adds the nodes of the mix of values.
   *
   * @param of.weights by block, or all in one if rows are encoded
   * @returns what adds up to it, `[batch, kvHeads, group, chunk, headDim]` each
   */
  mix(
    graph: GraphBuilder,
    name: string,
    of: { weights: readonly string[]; ring: Ring },
  ): readonly string[];
}

/** Name of a bool that {@linkcode INT8_ROWS} reads: whether each conversation's chunk is a single token. */
export const ONE_TOKEN = "one_token";

/** Rows as they are computed. */
export const F32_ROWS: RowFormat = {
  name: "f32",
  codec: null,
  byRow: { keys: true, values: true },
  parts: (width) => [{ suffix: "", type: "float32", width }],
  scores: (graph, name, { query, ring }) =>
    ring.blocks.map(([rows], block) =>
      graph.node("FusedMatMul", `${name}.scores${block}`, [query, rows!], {
        domain: MICROSOFT,
        attributes: { transB: 1 },
      })
    ),
  mix: (graph, name, { weights, ring }) =>
    ring.blocks.map(([rows], block) =>
      graph.node("MatMul", `${name}.mix${block}`, [weights[block]!, rows!])
    ),
};

/** Rows of 16 bits. */
export const INT16_ROWS: RowFormat = {
  name: "int16",
  codec: INT16_CODEC,
  byRow: { keys: false, values: false },
  parts: (width) => INT16_CODEC.parts(width),
  ...columnProducts(decodeColumns),
};

/** Rows of 8 bits that are decoded in each run. */
export const DECODED_INT8_ROWS: RowFormat = {
  name: "int8",
  codec: INT8_CODEC,
  byRow: { keys: false, values: true },
  parts: (width) => INT8_CODEC.parts(width),
  scores: columnProducts(decodeColumns).scores,
  mix: rowProducts().mix,
};

/** Rows of 16 or 8 bits that lie by row, as our own kernel reads them; decoded here for a chunk of many. */
export const ATTENDED_INT16_ROWS: RowFormat = attendedRows(INT16_CODEC);
/** Likewise. */
export const ATTENDED_INT8_ROWS: RowFormat = attendedRows(INT8_CODEC);

function attendedRows(codec: RowCodec): RowFormat {
  return {
    name: codec.name,
    codec,
    byRow: { keys: true, values: true },
    parts: (width) => codec.parts(width),
    ...rowProducts(),
  };
}

/**
 * Rows of 8 bits that are multiplied as they are, for one token each; for a chunk of many, whose nodes
 * for planes would be as many times larger, decoding costs less.
 */
export const INT8_ROWS: RowFormat = {
  ...DECODED_INT8_ROWS,
  scores(graph, name, of) {
    const outputs = of.ring.blocks.map((_, block) => `${name}${block}`);
    graph.either(outputs, ONE_TOKEN, {
      then: () => integerScores(graph, `${name}.one`, of),
      otherwise: () => DECODED_INT8_ROWS.scores(graph, `${name}.many`, of),
    });
    return outputs;
  },
  mix(graph, name, of) {
    graph.either([name], ONE_TOKEN, {
      then: () => {
        const { weights: [all], ring } = of;
        return [integerMix(graph, `${name}.one`, { weights: all!, ring })];
      },
      otherwise: () => {
        const parts = DECODED_INT8_ROWS.mix(graph, `${name}.many`, of);
        return [graph.node("Sum", `${name}.many`, parts)];
      },
    });
    return [name];
  },
};

/** Rows of 4 bits, of turned vectors. */
export const INT4_ROWS: RowFormat = {
  name: "int4",
  codec: INT4_CODEC,
  byRow: { keys: false, values: false },
  parts: (width) => INT4_CODEC.parts(width),
  scores(graph, name, { query, ring }) {
    const turned = turn(graph, `${name}.query`, query, ring);
    const of = { query: turned, ring };
    return columnProducts(decodeNibbles).scores(graph, name, of);
  },
  mix(graph, name, of) {
    const parts = columnProducts(decodeNibbles).mix(graph, name, of);
    const sum = graph.node("Sum", `${name}.sum`, parts);
    return [turn(graph, name, sum, of.ring)];
  },
};

/** Adds the nodes that make a block of the ring into f32, columns or rows. */
type Decode = (
  graph: GraphBuilder,
  name: string,
  parts: readonly string[],
  ring: Ring,
) => string;

/**
 * Products with keys and values, once decoded: columns, `[batch, kvHeads, 1, headDim, rows]`, or rows,
 * `[batch, kvHeads, 1, rows, headDim]`.
 */
function decodedProducts(
  decode: Decode,
  { byRow }: { byRow: boolean },
): Pick<RowFormat, "scores" | "mix"> {
  const product = (
    graph: GraphBuilder,
    name: string,
    { of, transposed }: { of: readonly string[]; transposed: boolean },
  ) =>
    transposed
      ? graph.node("FusedMatMul", name, of, {
        domain: MICROSOFT,
        attributes: { transB: 1 },
      })
      : graph.node("MatMul", name, of);
  return {
    scores: (graph, name, { query, ring }) =>
      ring.blocks.map((parts, block) => {
        const keys = decode(graph, `${name}.block${block}`, parts, ring);
        const of = { of: [query, keys], transposed: byRow };
        return product(graph, `${name}.scores${block}`, of);
      }),
    mix(graph, name, { weights, ring }) {
      const each = ofEachBlock(graph, name, { weights, ring });
      return ring.blocks.map((parts, block) => {
        const values = decode(graph, `${name}.block${block}`, parts, ring);
        const of = { of: [each[block]!, values], transposed: !byRow };
        return product(graph, `${name}.mix${block}`, of);
      });
    },
  };
}

function columnProducts(decode: Decode): Pick<RowFormat, "scores" | "mix"> {
  return decodedProducts(decode, { byRow: false });
}

function rowProducts(): Pick<RowFormat, "scores" | "mix"> {
  return decodedProducts(decodeRows, { byRow: true });
}

/** Weights by block, whether they are given so or all in one. */
function ofEachBlock(
  graph: GraphBuilder,
  name: string,
  { weights, ring }: { weights: readonly string[]; ring: Ring },
): readonly string[] {
  if (weights.length === ring.blocks.length) return weights;
  return byBlock(graph, `${name}.weights`, { all: weights[0]!, ring });
}

function decodeColumns(
  graph: GraphBuilder,
  name: string,
  [codes, scales]: readonly string[],
  { headDim }: Ring,
): string {
  return graph.node("DequantizeLinear", `${name}.f32`, [codes!, scales!], {
    attributes: { axis: 3, block_size: headDim },
  });
}

function decodeRows(
  graph: GraphBuilder,
  name: string,
  [codes, scales]: readonly string[],
  { kvHeads, headDim }: Ring,
): string {
  const rowScales = graph.node("Reshape", `${name}.scales`, [
    scales!,
    graph.int64("row_scales", [0, kvHeads, 1, -1, 1]),
  ]);
  return graph.node("DequantizeLinear", `${name}.f32`, [codes!, rowScales], {
    attributes: { axis: 4, block_size: headDim },
  });
}

function decodeNibbles(
  graph: GraphBuilder,
  name: string,
  [codes, scales]: readonly string[],
): string {
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
  return graph.node("Mul", `${name}.f32`, [both, scales!]);
}

/** Adds the node that turns vectors by {@linkcode hadamard}. */
function turn(
  graph: GraphBuilder,
  name: string,
  vectors: string,
  { headDim }: Ring,
): string {
  const matrix = hadamard(headDim);
  return graph.node("MatMul", `${name}.turned`, [
    vectors,
    graph.constant("hadamard", matrix, [headDim, headDim]),
  ]);
}
