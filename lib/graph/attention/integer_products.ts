/**
 * Products with rows of 8 bits as integers, where they lie: nothing is decoded. What they are multiplied
 * with, queries or weights, becomes integers of 21 bits (`lib/graph/planes.ts`). That is about as exact as
 * f32: a number of a query is off by at most 2⁻²¹ of the largest of its KV head, a weight by 2⁻²².
 *
 * @module
 */
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import {
  cutIntoPlanes,
  type Planes,
  planeSteps,
  planeWeights,
  planeZero,
  positivePlanes,
  signedPlanes,
} from "../planes.ts";
import { byBlock, type Ring } from "./ring.ts";

/** As exact as f32: 21 bits. */
const SIGNED = signedPlanes(3);
const POSITIVE = positivePlanes(3);

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
  const numbers = { numbers: query, largest, as: SIGNED };
  const bytes = bytesOf(graph, name, { ...numbers, ring });
  const weights = weightsOf(graph, name, numbers);
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
  const largest = largestOf(graph, `${name}.largest`, scaled);
  const numbers = { numbers: scaled, largest, as: POSITIVE };
  const bytes = byBlock(graph, name, {
    all: bytesOf(graph, name, { ...numbers, ring }),
    ring,
  });
  const sums = ring.blocks.map(([codes], block) => {
    const factors = { bytes: bytes[block]!, codes, as: POSITIVE };
    return product(graph, `${name}.block${block}`, factors);
  });
  return together(graph, name, {
    sums: sums.length === 1 ? sums[0]! : graph.node("Sum", `${name}.sum`, sums),
    weights: weightsOf(graph, name, numbers),
    ring,
  });
}

/** The largest number of each KV head: `[batch, kvHeads, 1, 1, 1]`. */
function largestOf(
  graph: GraphBuilder,
  name: string,
  numbers: string,
): string {
  const axes = graph.int64("within_kv_head", [2, 3, 4]);
  return graph.node("ReduceMax", name, [numbers, axes]);
}

/** Numbers `[batch, kvHeads, group, 1, n]`, of which the largest of each KV head is given. */
interface Numbers {
  readonly numbers: string;
  readonly largest: string;
  readonly as: Planes;
}

/**
 * Numbers as bytes, `[batch, kvHeads, 1, group × planes, n]`. Where the largest is 0 they are any, and what comes
 * of them is multiplied by it again.
 */
function bytesOf(
  graph: GraphBuilder,
  name: string,
  { numbers, largest, as, ring }: Numbers & { ring: Ring },
): string {
  const scale = graph.node("Div", `${name}.steps`, [
    planeSteps(graph, as),
    largest,
  ]);
  const raised = graph.node("Mul", `${name}.raised`, [numbers, scale]);
  return graph.node("Reshape", `${name}.by_plane`, [
    cutIntoPlanes(graph, name, raised, as),
    graph.int64("by_plane", [0, 0, 1, ring.group * as.count, 0]),
  ]);
}

/** What sums of planes count in those of the numbers: `[batch, kvHeads, 1, 1, planes]`. */
function weightsOf(
  graph: GraphBuilder,
  name: string,
  { largest, as }: Numbers,
): string {
  const weights = planeWeights(graph, as);
  return graph.node("Mul", `${name}.weights`, [largest, weights]);
}

/** Sums of planes times codes, `[batch, kvHeads, 1, group × planes, n]`. */
function product(
  graph: GraphBuilder,
  name: string,
  { bytes, codes, as }: {
    bytes: string;
    codes: string | undefined;
    as: Planes;
  },
): string {
  const one = graph.constant("one", Float32Array.of(1), []);
  const inputs = [bytes, codes!, one, one, planeZero(graph, as)];
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
    graph.int64("by_head", [0, 0, ring.group, SIGNED.count, -1]),
  ]);
  return graph.node("MatMul", `${name}.whole`, [weights, byHead]);
}
