/**
 * Products with rows of 8 bits as integers, where they lie: nothing is decoded. What they are multiplied
 * with, queries or weights, becomes integers of 24 bits, each as three planes of 8 below each other: one
 * product of bytes gives all planes' sums, a small one puts them together. That is as exact as f32: a
 * query or a weight is off by at most 2⁻²³ of the largest of its KV head.
 *
 * @module
 */
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import { byBlock, type Ring } from "./ring.ts";

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
  // No number is larger than this, and less is lost by it than f32 is exact.
  const largest = perKvHead(graph, "ReduceL2", `${name}.length`, query);
  const raised = raise(graph, name, { numbers: query, largest, as: SIGNED });
  const zeros = byPlane(graph, "zero", SIGNED, SIGNED.zero * ONES);
  const moved = graph.node("Add", `${name}.moved`, [raised, zeros]);
  const bytes = planes(graph, name, { raised: moved, ring });
  const weights = planeWeights(graph, name, { largest, as: SIGNED });
  return ring.blocks.map(([codes, scales], block) => {
    const at = `${name}.block${block}`;
    const sums = product(graph, at, { bytes, codes, as: SIGNED });
    const whole = together(graph, at, { sums, weights, ring });
    return graph.node("Mul", `${at}.scaled`, [whole, scales!]);
  });
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
  const all = ring.blocks.map(([, scales]) => scales!);
  const scales = all.length === 1
    ? all[0]!
    : graph.node("Concat", `${name}.scales`, all, { attributes: { axis: -1 } });
  const scaled = graph.node("Mul", `${name}.scaled`, [weights, scales]);
  // Of hidden rows, which hold anything, weights are 0: nothing of them is seen here either.
  const largest = perKvHead(graph, "ReduceMax", `${name}.largest`, scaled);
  const raised = raise(graph, name, { numbers: scaled, largest, as: POSITIVE });
  const bytes = byBlock(graph, name, {
    all: planes(graph, name, { raised, ring }),
    ring,
  });
  const sums = ring.blocks.map(([codes], block) => {
    const factors = { bytes: bytes[block]!, codes, as: POSITIVE };
    return product(graph, `${name}.block${block}`, factors);
  });
  return together(graph, name, {
    sums: sums.length === 1 ? sums[0]! : graph.node("Sum", `${name}.sum`, sums),
    weights: planeWeights(graph, name, { largest, as: POSITIVE }),
    ring,
  });
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

/** Numbers `[batch, kvHeads, group, 1, n]` in each plane's steps, `[batch, kvHeads, group, planes, n]`. */
function raise(
  graph: GraphBuilder,
  name: string,
  { numbers, largest, as }: { numbers: string; largest: string; as: Planes },
): string {
  const scale = graph.node("Div", `${name}.steps`, [
    byPlane(graph, "steps", as, as.steps * 256 ** (PLANES - 1)),
    largest,
  ]);
  return graph.node("Mul", `${name}.raised`, [numbers, scale]);
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
  return graph.constant(`${of}_${name}`, all, [PLANES, 1]);
}

/**
 * Cuts numbers in steps to bytes, `[batch, kvHeads, 1, group × planes, n]`. All of a number's are of the same,
 * multiplied by powers of 2, so they agree on it to the last bit. Where the largest is 0 they are any, and what
 * comes of them is multiplied by it again.
 */
function planes(
  graph: GraphBuilder,
  name: string,
  { raised, ring }: { raised: string; ring: Ring },
): string {
  const cut = graph.cast(`${name}.cut`, raised, "int32");
  const bytes = graph.cast(`${name}.bytes`, cut, "uint8"); // keeps the low 8 bits
  return graph.node("Reshape", `${name}.planes`, [
    bytes,
    graph.int64("planes", [0, 0, 1, ring.group * PLANES, 0]),
  ]);
}

/** What sums of planes count in those of the numbers: `[batch, kvHeads, 1, 1, planes]`. */
function planeWeights(
  graph: GraphBuilder,
  name: string,
  { largest, as }: { largest: string; as: Planes },
): string {
  const each = Float32Array.from(
    { length: PLANES },
    (_, plane) => 256 ** -plane / as.steps,
  );
  const constant = graph.constant(`weights_${as.name}`, each, [1, PLANES]);
  return graph.node("Mul", `${name}.weights`, [largest, constant]);
}

/** Sums of planes times codes, `[batch, kvHeads, 1, group × planes, n]`. */
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
  return graph.node("MatMulIntegerToFloat", `${name}.sums`, inputs, {
    domain: MICROSOFT,
  });
}

/** The numbers' sums, of their planes': `[batch, kvHeads, group, 1, n]`. */
function together(
  graph: GraphBuilder,
  name: string,
  { sums, weights, ring }: { sums: string; weights: string; ring: Ring },
): string {
  const byHead = graph.node("Reshape", `${name}.by_head`, [
    sums,
    graph.int64("by_head", [0, 0, ring.group, PLANES, -1]),
  ]);
  return graph.node("MatMul", `${name}.whole`, [weights, byHead]);
}
