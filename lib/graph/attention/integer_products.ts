/**
 * Products with rows of 8 bits as integers, where they lie: nothing is decoded. What they are multiplied
 * with, queries or weights, becomes integers (`lib/graph/planes.ts`). That is about as exact as
 * f32: it is off by at most 2⁻²¹ of the largest of its head.
 *
 * @module
 */
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import {
  cutIntoPlanes,
  type Planes,
  planeWeights,
  planeZero,
} from "../planes.ts";
import { byBlock, type Ring } from "./ring.ts";

/** As exact as f32: 20 bits and a sign, of numbers over their largest. */
const PLANES: Planes = { count: 3, largest: 1 };

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
  const sizes = graph.node("Abs", `${name}.sizes`, [query]);
  const largest = largestOf(graph, `${name}.largest`, sizes);
  const numbers = { numbers: query, largest };
  const bytes = bytesOf(graph, name, { ...numbers, ring });
  const weights = weightsOf(graph, name, numbers);
  return ring.blocks.map(([codes, scales], block) => {
    const at = `${name}.block${block}`;
    const sums = product(graph, at, { bytes, codes });
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
  // Of hidden rows, which hold anything, weights are 0 or denormal: nothing of them is seen here either.
  const largest = largestOf(graph, `${name}.largest`, scaled);
  const numbers = { numbers: scaled, largest };
  const bytes = byBlock(graph, name, {
    all: bytesOf(graph, name, { ...numbers, ring }),
    ring,
  });
  const sums = ring.blocks.map(([codes], block) => {
    const factors = { bytes: bytes[block]!, codes };
    return product(graph, `${name}.block${block}`, factors);
  });
  return together(graph, name, {
    sums: sums.length === 1 ? sums[0]! : graph.node("Sum", `${name}.sum`, sums),
    weights: weightsOf(graph, name, numbers),
    ring,
  });
}

/** The largest number of each head: `[batch, kvHeads, group, 1, 1]`. */
function largestOf(
  graph: GraphBuilder,
  name: string,
  numbers: string,
): string {
  const axes = graph.int64("within_head", [3, 4]);
  return graph.node("ReduceMax", name, [numbers, axes]);
}

/** Numbers `[batch, kvHeads, group, 1, n]`, of which the largest of each head is given. */
interface Numbers {
  readonly numbers: string;
  readonly largest: string;
}

/**
 * Numbers as bytes, `[batch, kvHeads, 1, group × planes, n]`. Where the largest is 0 they are any, and what comes
 * of them is multiplied by it again.
 */
function bytesOf(
  graph: GraphBuilder,
  name: string,
  { numbers, largest, ring }: Numbers & { ring: Ring },
): string {
  const shares = graph.node("Div", `${name}.shares`, [numbers, largest]);
  return graph.node("Reshape", `${name}.by_plane`, [
    cutIntoPlanes(graph, name, shares, PLANES),
    graph.int64("by_plane", [0, 0, 1, ring.group * PLANES.count, 0]),
  ]);
}

/** What sums of planes count in those of the numbers: `[batch, kvHeads, group, 1, planes]`. */
function weightsOf(
  graph: GraphBuilder,
  name: string,
  { largest }: Numbers,
): string {
  const weights = planeWeights(graph, PLANES);
  return graph.node("Mul", `${name}.weights`, [largest, weights]);
}

/** Sums of planes times codes, `[batch, kvHeads, 1, group × planes, n]`. */
function product(
  graph: GraphBuilder,
  name: string,
  { bytes, codes }: { bytes: string; codes: string | undefined },
): string {
  const one = graph.constant("one", Float32Array.of(1), []);
  const inputs = [bytes, codes!, one, one, planeZero(graph)];
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
    graph.int64("by_head", [0, 0, ring.group, PLANES.count, -1]),
  ]);
  return graph.node("MatMul", `${name}.whole`, [weights, byHead]);
}
