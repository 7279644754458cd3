/**
 * Numbers as bytes, so that products with bytes can be taken of them: each becomes an integer of some
 * planes of 7 bits, one below the other. One product of bytes gives the sums of all planes, and a small
 * one puts them together.
 *
 * Seven bits, since a CPU without instructions for the purpose adds pairs of such products in 16 bits, where
 * two of 8 bits each would not fit (x86's vpmaddubsw then gives the largest number there is).
 *
 * @module
 */
import type { GraphBuilder } from "./graph_builder.ts";

/** Values of a plane. */
const BASE = 128;

/** How numbers become planes. */
export interface Planes {
  /** Distinguishes their constants from others'. */
  readonly name: string;
  /** How many: each adds 7 bits. */
  readonly count: number;
  /** Steps of the first plane for the largest number. */
  readonly steps: number;
  /** What stands for 0 in each plane. */
  readonly zero: number;
}

/** Planes of numbers of either sign. */
export function signedPlanes(count: number): Planes {
  return { name: `signed${count}`, count, steps: 63, zero: 64 };
}

/** Planes of numbers that are not negative. */
export function positivePlanes(count: number): Planes {
  return { name: `positive${count}`, count, steps: 127, zero: 0 };
}

/**
 * What numbers are multiplied by for each plane, if the largest has the size `largest`.
 *
 * @returns name of a constant, `[planes, 1]`
 */
export function planeSteps(
  graph: GraphBuilder,
  planes: Planes,
  largest = 1,
): string {
  const last = planes.steps * BASE ** (planes.count - 1) / largest;
  return byPlane(graph, `steps_${planes.name}_${largest}`, planes, last);
}

/**
 * What each plane's sums are multiplied by, likewise.
 *
 * @returns name of a constant, `[1, planes]`
 */
export function planeWeights(
  graph: GraphBuilder,
  { name, count, steps }: Planes,
  largest = 1,
): string {
  const weights = Float32Array.from(
    { length: count },
    (_, plane) => largest * BASE ** -plane / steps,
  );
  return graph.constant(`weights_${name}_${largest}`, weights, [1, count]);
}

/** What stands for 0 in each plane: name of an uint8. */
export function planeZero(
  graph: GraphBuilder,
  { name, zero }: Planes,
): string {
  return graph.constant(`zero_${name}`, Uint8Array.of(zero), []);
}

/**
 * Cuts numbers to bytes. All planes of a number are of the same, multiplied by powers of 2, so they agree on it to
 * the last bit.
 *
 * @param raised numbers times {@linkcode planeSteps}, `[…, planes, n]`
 * @returns name of the planes, uint8 of the same shape
 */
export function cutIntoPlanes(
  graph: GraphBuilder,
  name: string,
  raised: string,
  planes: Planes,
): string {
  const { zero, count } = planes;
  // A zero in every plane, and a half of the last one's steps, so that cutting rounds.
  const moved = zero * (BASE ** count - 1) / (BASE - 1) + 0.5;
  const positive = graph.node("Add", `${name}.moved`, [
    raised,
    byPlane(graph, `moved_${planes.name}`, planes, moved),
  ]);
  const cut = graph.cast(`${name}.cut`, positive, "int32");
  const bytes = graph.cast(`${name}.bytes`, cut, "uint8"); // keeps the low 8 bits
  return graph.node("BitwiseAnd", `${name}.planes`, [
    bytes,
    graph.constant("seven_bits", Uint8Array.of(BASE - 1), []),
  ]);
}

/** A constant for each plane, of which the last one's is given. */
function byPlane(
  graph: GraphBuilder,
  name: string,
  { count }: Planes,
  last: number,
): string {
  const all = Float32Array.from(
    { length: count },
    (_, plane) => last * BASE ** (plane + 1 - count),
  );
  return graph.constant(name, all, [count, 1]);
}
