/**
 * Which rows of a slot's memory on a GPU are what, and what a run does with them, in arithmetic alone.
 *
 * A head's rows are `[sinks | ring | copies of the sinks | spare]`. ONNX Runtime's attention takes one
 * query a token, rotated at the token's position, and appends new rows behind a given row. So
 *
 * - a query past capacity does not see the sinks themselves but copies of them, rotated on by as much
 *   as the query stands farther from them than its index in the cache says (`SinkWindow`); queries of
 *   one chunk stand differently far, so that each has copies of its own;
 * - new rows are appended where nobody's rows are, and moved to their places after the run.
 *
 * No row of the window ever moves. Sinks themselves are never rewritten: copies are always made anew
 * from them, so that nothing drifts.
 *
 * @module
 */
import type { Held } from "./held.ts";
import { HIDDEN, type SinkWindow } from "./sink_window.ts";

/** Rows of each head of a slot. */
export interface GpuRows {
  /** Rows for sinks, at least 1. */
  readonly sinks: number;
  /** Rows of the window's ring. */
  readonly window: number;
  /** Queries of one run that can have copies of the sinks. */
  readonly copies: number;
  /** Rows behind all others, for new ones. */
  readonly spare: number;
}

/** A row that is to be written over another one of its slot. */
export interface Move {
  readonly from: number;
  readonly to: number;
}

/** Appending behind multiples of this many rows keeps the shapes of runs few. */
const STEP = 64;

/** Rows of each head of a slot, in all. */
export function rowCount(rows: GpuRows): number {
  return copyOfSinks(rows, rows.copies) + rows.spare;
}

/** First row of the sinks' copies of a chunk's query `t`. */
export function copyOfSinks(rows: GpuRows, t: number): number {
  return rows.sinks + rows.window + t * rows.sinks;
}

/** Rows from the first that hold what is kept of a conversation. */
export function heldRows(
  rows: GpuRows,
  { policy, seen }: Pick<Held, "policy" | "seen">,
): number {
  return rows.sinks + policy.ringRows(seen);
}

/** By how many positions the sinks' copies for the query of position `p` are rotated on; 0: it sees the sinks themselves. */
export function sinkShift(
  { policy, boundaries }: Pick<Held, "policy" | "boundaries">,
  p: number,
): number {
  return policy.sinks === 0 ? 0 : p - policy.sinkQueryPosition(p, boundaries);
}

/** Most tokens of a chunk. */
export function chunkLimit(
  rows: GpuRows,
  { policy, seen }: Pick<Held, "policy" | "seen">,
): number {
  const before = policy.capacity - seen; // tokens that still see the sinks themselves
  const limit = policy.sinks === 0
    ? rows.spare
    : Math.min(rows.spare, Math.max(before, rows.copies));
  return Math.min(limit, policy.chunkLimit(seen));
}

/** A slot's part of a run: `count` new tokens of its conversation; none if it idles. */
export interface Lane extends Held {
  readonly count: number;
}

/** Where a run appends, and what it needs before. */
export interface AppendPlan {
  /** Row at which the first slot's first new row is written; each next slot's one row behind. */
  readonly append: number;
  /** Rows that the run sees. */
  readonly total: number;
  /** Queries whose copies of the sinks must be there; 0 if no query is past capacity. */
  readonly copies: number;
}

/**
 * Where a run of some slots, side by side, appends. Neighbours append at different rows, as the
 * angles of their tokens are looked up by row.
 *
 * @param lanes by slot, `null` for a slot without a conversation; one token each, or several of a single slot
 * @param ready whether each slot's copies for its next token are kept there, and must not be overwritten
 */
export function planAppend(
  rows: GpuRows,
  lanes: readonly (Lane | null)[],
  ready: boolean,
): AppendPlan {
  let [count, used, copies] = [0, 0, 0];
  for (const lane of lanes) {
    if (!lane) continue;
    const { policy, seen } = lane;
    const next = seen + lane.count;
    count = Math.max(count, lane.count);
    used = Math.max(used, heldRows(rows, { policy, seen: next }));
    if (sinkShift(lane, ready ? next : next - 1) > 0) {
      copies = ready ? 1 : lane.count;
    }
  }
  const append = copies > 0
    ? copyOfSinks(rows, copies)
    : Math.min(rows.sinks + rows.window, Math.ceil(used / STEP) * STEP);
  return { append, total: append + lanes.length - 1 + count, copies };
}

/**
 * Fills the mask of one conversation's tokens.
 *
 * @param mask `[count, total]`, filled whole: 0 where a query sees, {@linkcode HIDDEN} elsewhere
 * @param append row at which its own first new row is written
 */
export function fillGpuMask(
  mask: Float32Array,
  rows: GpuRows,
  lane: Lane,
  append: number,
): void {
  const { policy, seen, count } = lane;
  const total = mask.length / count;
  policy.fillMask(mask, { ...lane, chunkColumns: total - append }, {
    sinkRows: rows.sinks,
    windowRows: append - rows.sinks,
  });
  for (let t = 0; t < count; t++) {
    if (sinkShift(lane, seen + t) === 0) continue;
    const row = t * total;
    mask.fill(HIDDEN, row, row + policy.sinks);
    const copy = row + copyOfSinks(rows, t);
    mask.fill(0, copy, copy + policy.sinks);
  }
}

/** Where `count` new rows go that were appended from row `append` on; of two for one place, the later. */
export function placements(
  rows: GpuRows,
  { policy, seen, count }: Pick<Lane, "policy" | "seen" | "count">,
  append: number,
): Move[] {
  const moves: Move[] = [];
  for (let t = 0; t < count; t++) {
    const { part, index } = policy.place(seen + t);
    const overwritten = part === "window" && t + policy.window < count;
    if (overwritten) continue;
    const to = part === "sinks" ? index : rows.sinks + index;
    moves.push({ from: append + t, to });
  }
  return moves;
}

/** Which rows become the sinks' copies of a chunk's query `t`. */
export function sinkCopies(
  rows: GpuRows,
  { sinks }: SinkWindow,
  t: number,
): Move[] {
  const first = copyOfSinks(rows, t);
  return Array.from({ length: sinks }, (_, i) => ({ from: i, to: first + i }));
}
