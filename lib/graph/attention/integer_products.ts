/**
 * Products with rows of 8 bits as integers, where they lie: nothing is decoded. What they are multiplied
 * with, queries or weights, becomes integers of 24 bits, each as three planes of 8 below each other: one
 * product of bytes gives all planes' sums, a small one puts them together. That is as exact as f32: a
 * query or a weight is off by at most 2⁻²³ of the largest of its KV head.
 *
 * @module
 */
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import type { Ring } from "./row_format.ts";

/** Bytes of a number. */
const PLANES = 3;

/** How numbers become bytes: `steps` of the first plane for the largest, and the byte that stands for 0. */
interface Planes {
  readonly name: string;
  readonly steps: number;
  readonly zero: number;
}

const SIGNED: Planes = { name: "signed", steps: 127, zero: 128 };
const POSITIVE: Planes = { name: "positive", steps: 255, zero: 0 };

/**
 * Scores of one query each, by block.
 *
 * @param of.query `[batch, kvHeads, group, 1, headDim]`
 * @param of.ring codes `[batch, kvHeads, 1, headDim, rows]`, scales `[batch, kvHeads, 1, 1, rows]`
 * @returns `[batch, kvHeads, group, 1, rows]` each
 */
export function integerScores(
  graph: GraphBuilder,
  name: string,
  { query, ring }: { query: string; ring: Ring },
): string[] {
  const { kvHeads, group, headDim } = ring;
  const rows = graph.node("Reshape", `${name}.rows`, [
    query,
    graph.int64("query_rows", [0, kvHeads, 1, group, headDim]),
  ]);
  const sizes = graph.node("Abs", `${name}.sizes`, [rows]);
  const largest = largestOf(graph, name, [sizes]);
  const of = { largest, group, as: SIGNED };
  const bytes = planes(graph, name, { ...of, numbers: rows });
  const weights = planeWeights(graph, name, of);
  return ring.blocks.map(([codes, scales], block) => {
    const at = (of: string) => `${name}.${of}${block}`;
    const sums = product(graph, at("sums"), { bytes, codes, as: SIGNED });
    const whole = graph.node("MatMul", at("whole"), [weights, sums]);
    const scaled = graph.node("Mul", at("scaled"), [whole, scales!]);
    return graph.node("Reshape", at("scores"), [
      scaled,
      graph.int64("query_scores", [0, kvHeads, group, 1, -1]),
    ]);
  });
}

/**
 * The mix of values for one query each.
 *
 * @param of.weights by block, `[batch, kvHeads, group, 1, rows]`
 * @param of.ring codes `[batch, kvHeads, 1, rows, headDim]`, scales `[batch, kvHeads, 1, 1, rows]`
 * @returns `[batch, kvHeads, group, 1, headDim]`
 */
export function integerMix(
  graph: GraphBuilder,
  name: string,
  { weights, ring }: { weights: readonly string[]; ring: Ring },
): string {
  const { kvHeads, group } = ring;
  const scaled = ring.blocks.map(([, scales], block) => {
    const rows = graph.node("Reshape", `${name}.rows${block}`, [
      weights[block]!,
      graph.int64("weight_rows", [0, kvHeads, 1, group, -1]),
    ]);
    return graph.node("Mul", `${name}.scaled${block}`, [rows, scales!]);
  });
  const largest = largestOf(graph, name, scaled);
  const of = { largest, group, as: POSITIVE };
  const sums = ring.blocks.map(([codes], block) => {
    const at = `${name}.block${block}`;
    const bytes = planes(graph, at, { ...of, numbers: scaled[block]! });
    return product(graph, `${at}.sums`, { bytes, codes, as: POSITIVE });
  });
  const both = sums.length === 1
    ? sums[0]!
    : graph.node("Sum", `${name}.sums`, sums);
  const by = planeWeights(graph, name, of);
  const whole = graph.node("MatMul", `${name}.whole`, [by, both]);
  return graph.node("Reshape", `${name}.mix`, [
    whole,
    graph.int64("query_mix", [0, kvHeads, group, 1, -1]),
  ]);
}

/** The largest of the numbers of a KV head: `[batch, kvHeads, 1, 1, 1]`. */
function largestOf(
  graph: GraphBuilder,
  name: string,
  numbers: readonly string[],
): string {
  const each = numbers.map((of, i) =>
    graph.node("ReduceMax", `${name}.largest${i}`, [
      of,
      graph.int64("within_kv_head", [2, 3, 4]),
    ])
  );
  return each.length === 1
    ? each[0]!
    : graph.node("Max", `${name}.largest`, each);
}

/**
 * Numbers as bytes, `[batch, kvHeads, 1, planes × group, n]`: the highest of all of a KV head's rows first.
 * All are cut from the same number, multiplied by powers of 2, so they agree on it to the last bit. Where
 * all numbers are 0 the bytes are any, and what comes of them is multiplied by the largest, 0.
 */
function planes(
  graph: GraphBuilder,
  name: string,
  { numbers, largest, group, as: { name: kind, steps, zero } }: {
    numbers: string;
    largest: string;
    group: number;
    as: Planes;
  },
): string {
  const byPlane = (of: string, last: number) => {
    const all = Float32Array.from(
      { length: PLANES },
      (_, plane) => last * 256 ** (plane + 1 - PLANES),
    );
    return graph.constant(`${of}_${kind}`, all, [PLANES, 1, 1]);
  };
  const scale = graph.node("Div", `${name}.scale`, [
    byPlane("steps", steps * 256 ** (PLANES - 1)),
    largest,
  ]);
  const raised = graph.node("Mul", `${name}.steps`, [numbers, scale]);
  const moved = zero === 0 ? raised : graph.node("Add", `${name}.moved`, [
    raised,
    byPlane("zero", zero * (256 ** PLANES - 1) / 255),
  ]);
  const cut = graph.cast(`${name}.cut`, moved, "int32");
  const bytes = graph.cast(`${name}.bytes`, cut, "uint8"); // keeps the low 8 bits
  return graph.node("Reshape", `${name}.planes`, [
    bytes,
    graph.int64("planes", [0, 0, 1, PLANES * group, 0]),
  ]);
}

/** Multiplied with the sums of planes, gives those of the numbers: `[batch, kvHeads, 1, group, planes × group]`. */
function planeWeights(
  graph: GraphBuilder,
  name: string,
  { largest, as: { name: kind, steps }, group }: {
    largest: string;
    as: Planes;
    group: number;
  },
): string {
  const columns = PLANES * group;
  const weights = Float32Array.from(
    { length: group * columns },
    (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      const plane = Math.floor(column / group);
      return column % group === row ? 256 ** -plane / steps : 0;
    },
  );
  const shape = [group, columns];
  const constant = graph.constant(`weights_${kind}`, weights, shape);
  return graph.node("Mul", `${name}.plane_weights`, [largest, constant]);
}

function product(
  graph: GraphBuilder,
  name: string,
  { bytes, codes, as: { name: kind, zero } }: {
    bytes: string;
    codes: string | undefined;
    as: Planes;
  },
): string {
  const one = graph.constant("one", Float32Array.of(1), []);
  const nothing = graph.constant(`byte_${kind}`, Uint8Array.of(zero), []);
  const inputs = [bytes, codes!, one, one, nothing];
  return graph.node("MatMulIntegerToFloat", name, inputs, {
    domain: MICROSOFT,
  });
}
