/**
 * Products with rows of 8 bits as integers, where they lie: nothing is decoded. What they are multiplied
 * with, queries or weights, becomes integers of 24 bits, each as three planes of 8 below each other: one
 * product of bytes gives all planes' sums, a small one puts them together. That is as exact as f32: a
 * query or a weight is off by at most 2⁻²³ of the largest of its KV head.
 *
 * @module
 */
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import { byBlock, joined, type Ring } from "./ring.ts";

/** Bytes of a number. */
const PLANES = 3;

/** A 1 in each byte. */
const ONES = (256 ** PLANES - 1) / 255;

/** How numbers become bytes: `steps` of the first plane for the largest, and the byte that stands for 0. */
interface Planes {
  readonly name: string;
  readonly steps: number;
  readonly zero: number;
}

const SIGNED: Planes = { name: "signed", steps: 127, zero: 128 };
const POSITIVE: Planes = { name: "positive", steps: 255, zero: 0 };

/**
 * Scores of one query each.
 *
 * @param of.query `[batch, kvHeads, group, 1, headDim]`
 * @param of.ring codes `[batch, kvHeads, 1, headDim, rows]`, scales `[batch, kvHeads, 1, 1, rows]`
 * @returns `[batch, kvHeads, group, 1, all rows]`
 */
export function integerScores(
  graph: GraphBuilder,
  name: string,
  { query, ring }: { query: string; ring: Ring },
): string {
  const { kvHeads, group, headDim } = ring;
  const rows = graph.node("Reshape", `${name}.rows`, [
    query,
    graph.int64("query_rows", [0, kvHeads, 1, group, headDim]),
  ]);
  // No number is larger than this, and less is lost by it than f32 is exact.
  const largest = perKvHead(graph, "ReduceL2", `${name}.length`, rows);
  const of = { largest, group, as: SIGNED };
  const scale = stepsOf(graph, name, of);
  const raised = graph.node("Mul", `${name}.raised`, [rows, scale]);
  const zeros = byPlane(graph, "zero", SIGNED, SIGNED.zero * ONES);
  const moved = graph.node("Add", `${name}.moved`, [raised, zeros]);
  const bytes = planes(graph, name, moved, group);
  const sums = ring.blocks.map(([codes], block) =>
    product(graph, `${name}.sums${block}`, { bytes, codes, as: SIGNED })
  );
  const whole = graph.node("MatMul", `${name}.whole`, [
    planeWeights(graph, name, of),
    joined(graph, `${name}.sums`, sums),
  ]);
  const scaled = graph.node("Mul", `${name}.scaled`, [
    whole,
    joined(graph, `${name}.scales`, ring.blocks.map(([, scales]) => scales!)),
  ]);
  return graph.node("Reshape", `${name}.scores`, [
    scaled,
    graph.int64("query_scores", [0, kvHeads, group, 1, -1]),
  ]);
}

/**
 * The mix of values for one query each.
 *
 * @param of.weights `[batch, kvHeads, group, 1, all rows]`, not negative
 * @param of.ring codes `[batch, kvHeads, 1, rows, headDim]`, scales `[batch, kvHeads, 1, 1, rows]`
 * @returns `[batch, kvHeads, group, 1, headDim]`
 */
export function integerMix(
  graph: GraphBuilder,
  name: string,
  { weights, ring }: { weights: string; ring: Ring },
): string {
  const { kvHeads, group } = ring;
  const rows = graph.node("Reshape", `${name}.rows`, [
    weights,
    graph.int64("weight_rows", [0, kvHeads, 1, group, -1]),
  ]);
  const all = ring.blocks.map(([, scales]) => scales!);
  const scales = joined(graph, `${name}.scales`, all);
  const scaled = graph.node("Mul", `${name}.scaled`, [rows, scales]);
  // Of hidden rows, which hold anything, weights are 0: nothing of them is seen here either.
  const largest = perKvHead(graph, "ReduceMax", `${name}.largest`, scaled);
  const of = { largest, group, as: POSITIVE };
  const steps = stepsOf(graph, name, of);
  const raised = graph.node("Mul", `${name}.raised`, [scaled, steps]);
  const bytes = byBlock(graph, name, {
    all: planes(graph, name, raised, group),
    ring,
  });
  const sums = ring.blocks.map(([codes], block) => {
    const factors = { bytes: bytes[block]!, codes, as: POSITIVE };
    return product(graph, `${name}.sums${block}`, factors);
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

/** One number for each KV head: `[batch, kvHeads, 1, 1, 1]`. */
function perKvHead(
  graph: GraphBuilder,
  operator: "ReduceL2" | "ReduceMax",
  name: string,
  numbers: string,
): string {
  const axes = graph.int64("within_kv_head", [2, 3, 4]);
  return graph.node(operator, name, [numbers, axes]);
}

/** What numbers are multiplied with to be cut into planes: `[batch, kvHeads, planes, 1, 1]`. */
function stepsOf(
  graph: GraphBuilder,
  name: string,
  { largest, as }: { largest: string; as: Planes },
): string {
  const steps = byPlane(graph, "steps", as, as.steps * 256 ** (PLANES - 1));
  return graph.node("Div", `${name}.steps`, [steps, largest]);
}

/** A constant for each plane, of which the last one's is given. */
function byPlane(
  graph: GraphBuilder,
  of: string,
  { name }: Planes,
  last: number,
): string {
  const all = Float32Array.from(
    { length: PLANES },
    (_, plane) => last * 256 ** (plane + 1 - PLANES),
  );
  return graph.constant(`${of}_${name}`, all, [PLANES, 1, 1]);
}

/**
 * Cuts numbers that are raised to the planes' steps, `[batch, kvHeads, planes, group, n]`, to bytes: `[batch,
 * kvHeads, 1, planes × group, n]`. All of a number's are of the same, multiplied by powers of 2, so they agree on
 * it to the last bit. Where the largest is 0 they are any, and what comes of them is multiplied by it again.
 */
function planes(
  graph: GraphBuilder,
  name: string,
  raised: string,
  group: number,
): string {
  const cut = graph.cast(`${name}.cut`, raised, "int32");
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
