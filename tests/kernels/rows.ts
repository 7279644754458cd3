/** Rows of both precisions for the kernels' tests. @module */
import { assert } from "@std/assert";
import type { Element } from "../../kernels/element.ts";
import type { Random } from "../../lib/sampling/random.ts";

/** An array of one precision's elements. */
export type Rows = Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer>;

/** Both precisions. */
export const ELEMENTS: readonly Element[] = ["f32", "f16"];

/** Rows over these bytes, or so many of zero. */
export function rowsOf(element: Element, from: ArrayBuffer | number): Rows {
  const type = element === "f16" ? Float16Array : Float32Array;
  return new type(from as ArrayBuffer);
}

/** Random elements in [-4, 4). */
export function randomRows(
  element: Element,
  length: number,
  random: Random,
): Rows {
  return rowsOf(element, length).map(() => 8 * random() - 4);
}

/** Random bits: any number, infinity or NaN. */
export function randomBits(
  element: Element,
  length: number,
  random: Random,
): Rows {
  const rows = rowsOf(element, Math.ceil(length / 2) * 2);
  const bytes = new Uint8Array(rows.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random() * 256;
  return rows.subarray(0, length);
}

/** Throws unless all are the same; `assertEquals` takes minutes to say where large arrays differ. */
export function assertSame(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): void {
  assert(actual.length === expected.length, "lengths differ");
  for (let i = 0; i < expected.length; i++) {
    assert(
      Object.is(actual[i], expected[i]),
      `at ${i}: ${actual[i]} is not ${expected[i]}`,
    );
  }
}

/** Throws unless all are within `tolerance` of each other, relative to 1 or the expected number, whichever is more. */
export function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  assert(actual.length === expected.length, "lengths differ");
  for (let i = 0; i < expected.length; i++) {
    const bound = tolerance * Math.max(1, Math.abs(expected[i]!));
    assert(
      Math.abs(actual[i]! - expected[i]!) <= bound,
      `at ${i}: ${actual[i]} is not within ${bound} of ${expected[i]}`,
    );
  }
}
