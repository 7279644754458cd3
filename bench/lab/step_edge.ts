/** Where a series of values falls from one level to another. @module */

/** The best place for one step. */
export interface StepEdge {
  /** The last distance of the first level, and the first of the second. */
  readonly last: number;
  readonly next: number;
  /** Means of both. */
  readonly before: number;
  readonly after: number;
}

/**
 * The cut that leaves least squared error around two levels; the earliest of equals.
 *
 * @throws {RangeError} if there are less than two points
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { stepEdge } from "./step_edge.ts";
 * const edge = stepEdge([10, 20, 30, 40], [9, 11, 1, 1]);
 * assertEquals(edge, { last: 20, next: 30, before: 10, after: 1 });
 * ```
 */
export function stepEdge(
  distances: readonly number[],
  values: readonly number[],
): StepEdge {
  if (values.length < 2 || values.length !== distances.length) {
    throw new RangeError(
      `Cannot find a step in ${values.length} values at ${distances.length} distances`,
    );
  }
  let best: StepEdge | undefined;
  let least = Infinity;
  for (let cut = 1; cut < values.length; cut++) {
    const [before, after] = [
      levelOf(values.slice(0, cut)),
      levelOf(values.slice(cut)),
    ];
    const error = before.error + after.error;
    if (error >= least) continue;
    least = error;
    best = {
      last: distances[cut - 1]!,
      next: distances[cut]!,
      before: before.mean,
      after: after.mean,
    };
  }
  return best!;
}

function levelOf(values: readonly number[]): { mean: number; error: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const error = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error };
}
