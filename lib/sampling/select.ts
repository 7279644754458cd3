/**
 * Where a descending order would be cut, found without sorting, over values alone. The cut is a threshold and a
 * number of ties, so that whoever holds the ids can filter them in their own order.
 *
 * @module
 */

/** Keep every value above `threshold`, and the first `ties` of those that equal it. */
export interface Cut {
  /** The smallest value kept. */
  threshold: number;
  /** How many of the values equal to `threshold` are kept, at least 1. */
  ties: number;
}

/** What {@linkcode findCut} adds up until its target is reached: one per value, or the values themselves. */
export type Measure = "count" | "mass";

/** Buckets by exponent and 6 bits of mantissa of a single: monotone in the value, and found without a branch. */
const BUCKET_SHIFT = 17;
const BUCKETS = (0x7f800000 >> BUCKET_SHIFT) + 1;
const bucketSums = new Float64Array(BUCKETS);

/** The values rounded to singles, and the same memory as integers; grown when more are needed. */
let singles = new Float32Array(0);
let singleBits = new Int32Array(singles.buffer);

/** From how many values on the passes over them are cheaper than the quickselect's wrongly guessed branches. */
const NARROW_FROM = 256;

/**
 * The cut that keeps the smallest set of the largest values whose measure reaches `target`, in O(n).
 *
 * @param values At least one finite number, all ≥ 0; they are overwritten.
 * @param target More than 0. Where rounding puts it out of reach, everything is kept.
 *
 * @example The two largest of four
 * ```ts
 * import { findCut } from "./select.ts";
 *
 * console.log(findCut(Float64Array.of(1, 4, 2, 3), 2, "count")); // { threshold: 3, ties: 1 }
 * ```
 */
export function findCut(
  values: Float64Array,
  target: number,
  measure: Measure,
): Cut {
  const counts = measure === "count";
  if (values.length < NARROW_FROM) return quickselect(values, target, counts);
  const { size, reached } = narrow(values, target, counts);
  return quickselect(values.subarray(0, size), target - reached, counts);
}

/** Move the values of the bucket in which the target is reached to the front; `reached` is what lies above it. */
function narrow(
  values: Float64Array,
  target: number,
  counts: boolean,
): { size: number; reached: number } {
  if (singles.length < values.length) {
    singles = new Float32Array(values.length);
    singleBits = new Int32Array(singles.buffer);
  }
  const bits = singleBits;
  singles.set(values);
  bucketSums.fill(0);
  for (let i = 0; i < values.length; i++) {
    const bucket = bits[i]! >> BUCKET_SHIFT;
    bucketSums[bucket] = bucketSums[bucket]! + (counts ? 1 : values[i]!);
  }
  let reached = 0;
  let lowest = 0;
  let bucket = BUCKETS - 1;
  while (bucketSums[lowest] === 0) lowest++;
  for (; bucket > lowest && reached + bucketSums[bucket]! < target; bucket--) {
    reached += bucketSums[bucket]!;
  }
  let size = 0;
  for (let i = 0; i < values.length; i++) {
    if (bits[i]! >> BUCKET_SHIFT === bucket) values[size++] = values[i]!;
  }
  return { size, reached };
}

function quickselect(
  values: Float64Array,
  target: number,
  counts: boolean,
): Cut {
  let low = 0;
  let high = values.length;
  let reached = 0;
  let last: Cut = { threshold: 0, ties: 1 };
  while (low < high) {
    const pivot = medianOfThree(
      values[low]!,
      values[(low + high) >> 1]!,
      values[high - 1]!,
    );
    // Three-way partition, descending: [low, equal) above, [equal, below) equal, [below, high) below the pivot.
    let equal = low;
    let below = high;
    let above = 0;
    for (let i = low; i < below;) {
      const value = values[i]!;
      if (value > pivot) {
        above += counts ? 1 : value;
        values[i++] = values[equal]!;
        values[equal++] = value;
      } else if (value < pivot) {
        values[i] = values[--below]!;
        values[below] = value;
      } else {
        i++;
      }
    }
    const each = counts ? 1 : pivot;
    const ties = below - equal;
    if (equal > low && reached + above >= target) {
      high = equal;
    } else if (reached + above + ties * each >= target) {
      const needed = Math.ceil((target - reached - above) / each);
      return { threshold: pivot, ties: Math.min(Math.max(needed, 1), ties) };
    } else {
      last = { threshold: pivot, ties };
      reached += above + ties * each;
      low = below;
    }
  }
  return last;
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
