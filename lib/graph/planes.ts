/**
 * Numbers as bytes, so that products with bytes can be taken of them: each becomes a sum of planes, of
 * which every one says 128 times more finely what the ones before left over. One product of bytes gives the
 * sums of all planes, and a small one puts them together.
 *
 * Planes are bytes of up to 128 and no more: a CPU without instructions for the purpose adds pairs of their products
 * with codes of 8 bits in 16 bits, where larger ones would not fit (x86's vpmaddubsw then gives the largest number
 * there is).
 *
 * @module
 */
import type { GraphBuilder } from "./graph_builder.ts";

/** The byte that stands for 0. */
const ZERO = 64;

/** Steps of the first plane for the largest number: one less than fit, since numbers are rounded. */
const STEPS = 63;

/** How many steps of a plane are one of the plane before. */
const FINER = 128;

/** How numbers become planes. */
export interface Planes {
  /** How many: one is as exact as 6 bits and a sign, each further one adds 7. */
  readonly count: number;
  /** No number is larger than this. */
  readonly largest: number;
}

/**
 * Adds the nodes that make numbers into planes.
 *
 * @param numbers `[…, 1, n]`
 * @returns name of the planes, uint8 `[…, count, n]`
 */
export function cutIntoPlanes(
  graph: GraphBuilder,
  name: string,
  numbers: string,
  planes: Planes,
): string {
  const zero = planeZero(graph);
  const cut: string[] = [];
  let left = numbers;
  for (let plane = 0; plane < planes.count; plane++) {
    const at = `${name}.plane${plane}`;
    const size = step(planes, plane);
    const grid = [
      graph.constant(`step_${size}`, Float32Array.of(size), []),
      zero,
    ];
    cut.push(graph.node("QuantizeLinear", at, [left, ...grid]));
    if (plane + 1 === planes.count) break;
    const said = graph.node("DequantizeLinear", `${at}.said`, [at, ...grid]);
    left = graph.node("Sub", `${at}.left`, [left, said]);
  }
  return graph.node("Concat", `${name}.planes`, cut, {
    attributes: { axis: -2 },
  });
}

/** What each plane's sums are multiplied by: name of a constant, `[1, count]`. */
export function planeWeights(graph: GraphBuilder, planes: Planes): string {
  const { count, largest } = planes;
  const steps = Float32Array.from(
    { length: count },
    (_, plane) => step(planes, plane),
  );
  return graph.constant(`steps_${count}_${largest}`, steps, [1, count]);
}

/** What stands for 0 in each plane: name of an uint8. */
export function planeZero(graph: GraphBuilder): string {
  return graph.constant("plane_zero", Uint8Array.of(ZERO), []);
}

function step({ largest }: Planes, plane: number): number {
  return Math.fround(largest / STEPS) / FINER ** plane;
}
