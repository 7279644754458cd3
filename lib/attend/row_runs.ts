/** Which stored rows a token sees, as runs of rows that lie beside each other. @module */
import type { SlotLayout } from "../cache/layout.ts";
import type { RowRange, SinkWindow } from "../cache/sink_window.ts";

/** Rows that lie beside each other in a layer's part. */
export interface RowRun extends RowRange {
  readonly part: number;
}

/** Parts of a layer: the sinks, the tail, then each block of the ring. */
export const SINKS = 0;
const TAIL = 1;
const RING = 2;

/** Most runs that a token sees of a slot: the sinks, two ends of the tail, and two of the ring, divided where blocks are. */
export function mostRuns({ blocks }: SlotLayout): number {
  return 1 + 2 + blocks.length + 1;
}

/**
 * The runs that a token sees.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { rowRuns } from "./row_runs.ts";
 * const layout = { sinkRows: 4, tailRows: 0, blocks: [3, 5] };
 * const ring = [{ first: 2, rows: 6 }, { first: 0, rows: 1 }];
 * assertEquals(rowRuns({ sinks: 4, tail: [], ring }, layout), [
 *   { part: 0, first: 0, rows: 4 },
 *   { part: 2, first: 2, rows: 1 },
 *   { part: 3, first: 0, rows: 5 },
 *   { part: 2, first: 0, rows: 1 },
 * ]);
 * ```
 */
export function rowRuns(
  seen: ReturnType<SinkWindow["seenRows"]>,
  { blocks }: SlotLayout,
): RowRun[] {
  const runs: RowRun[] = [];
  if (seen.sinks > 0) runs.push({ part: SINKS, first: 0, rows: seen.sinks });
  for (const rows of seen.tail) runs.push({ part: TAIL, ...rows });
  for (const { first, rows } of seen.ring) {
    let start = 0;
    for (const [b, size] of blocks.entries()) {
      const from = Math.max(first, start);
      const to = Math.min(first + rows, start + size);
      if (from < to) {
        runs.push({ part: RING + b, first: from - start, rows: to - from });
      }
      start += size;
    }
  }
  return runs;
}
