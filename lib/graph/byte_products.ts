/**
 * Products with matrices on a grid of 8 bits (`lib/weights/byte_grid.ts`), as products of bytes: a token's values
 * become integers of 14 bits, relative to their own size, in two planes. Sums of bytes are exact, so a token's
 * result is the same to the last bit whatever tokens are computed with it.
 *
 * @module
 */
import { float, type GraphBuilder, MICROSOFT } from "./graph_builder.ts";
import {
  cutIntoPlanes,
  type Planes,
  planeWeights,
  planeZero,
} from "./planes.ts";

/** Keeps a token whose values are all 0 from being divided by 0; far below any other's square. */
const EPSILON = float(1e-30);

/** Tokens' values, ready for products: names in the graph. */
export interface TokenBytes {
  /** Uint8 `[tokens, planes, cols]`. */
  readonly planes: string;
  /** What each plane's sums count for each token, `[tokens, 1, planes]`. */
  readonly weights: string;
}

/** A matrix on a grid: names of its weights in the graph. */
export interface ByteMatrix {
  /** Int8 `[cols, rows]`. */
  readonly codes: string;
  /** `[rows]`. */
  readonly scale: string;
  /** Int8 `[rows]`. */
  readonly zero: string;
}

/**
 * Adds the nodes that make values into bytes.
 *
 * @param x `[tokens, 1, cols]`
 */
export function bytesOfTokens(
  graph: GraphBuilder,
  x: string,
  cols: number,
): TokenBytes {
  const at = (name: string) => `${x}.${name}`;
  // Of values whose mean square is 1 none is larger.
  const planes: Planes = { count: 2, largest: Math.sqrt(cols) };
  const ones = graph.constant(`ones_${cols}`, new Float32Array(cols).fill(1));
  const [even, inverseSize] = [at("even"), at("inverse_size")];
  graph.nodes("SimplifiedLayerNormalization", [even, inverseSize], [x, ones], {
    attributes: { epsilon: EPSILON, axis: -1 },
  });
  return {
    planes: cutIntoPlanes(graph, x, even, planes),
    weights: graph.node("Div", at("weights"), [
      planeWeights(graph, planes),
      inverseSize,
    ]),
  };
}

/** Adds the product of tokens with a matrix: `[tokens, 1, rows]`, called `name`. */
export function byteProduct(
  graph: GraphBuilder,
  name: string,
  { planes, weights }: TokenBytes,
  { codes, scale, zero }: ByteMatrix,
): string {
  const one = graph.constant("one", Float32Array.of(1), []);
  const inputs = [planes, codes, one, scale, planeZero(graph), zero];
  const sums = graph.node("MatMulIntegerToFloat", `${name}.sums`, inputs, {
    domain: MICROSOFT,
  });
  return graph.node("MatMul", name, [weights, sums]);
}
