/** Where all that a step reads and writes lies in the memories. @module */
import { ROW_STEP, type RowElement } from "../../kernels/attend_rows.wat.ts";
import {
  type CacheTensor,
  type LayerCache,
  ROW_TYPE_BYTES,
  type SlotLayout,
  tensorTokens,
  windowRows,
} from "../cache/layout.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";
import { aligned, type RowBanks } from "./row_banks.ts";
import type { RowRun } from "./step_plan.ts";

/** Bytes of an f32. */
export const FLOAT = ROW_TYPE_BYTES.float32;

/** Lines of a tensor, one for each head of each slot: bytes at which slot 0's first begins, and how far they lie apart. */
export interface LinesAt {
  readonly start: number;
  readonly head: number;
}

/** Keys or values of a part of a layer. */
export interface RowsAt extends LinesAt {
  readonly element: RowElement;
  /** What each row is to be multiplied with, if rows are encoded. */
  readonly scales: LinesAt | null;
}

/** A layer's memory, and its parts there: the sinks, the tail, then each block of the ring. */
export interface LayerAt {
  readonly bank: number;
  readonly parts: readonly { readonly keys: RowsAt; readonly values: RowsAt }[];
}

/** Parts before the ring's blocks. */
const SINKS = 0;
const TAIL = 1;
const RING = 2;

/** The beginning of each memory, in bytes. */
export interface Scratch {
  /** Queries, keys and values as the graph gives them, `[lanes, heads + 2 kvHeads, headDim]`. */
  readonly projections: number;
  /** By lane: cosines and sines of its own position, then of the one at which it asks the sinks. */
  readonly angles: number;
  /** Rotated keys, `[lanes, kvHeads, headDim]`. */
  readonly keys: number;
  /** What is attended, `[lanes, heads, headDim]`. */
  readonly attention: number;
  /** Each thread's own part, and how far those lie apart. */
  readonly threads: number;
  readonly thread: number;
  /** Bytes of one head's line of scores. */
  readonly stride: number;
  /** Bytes of all. */
  readonly size: number;
}

/** Most runs that a token sees of a slot: the sinks, two ends of the tail, and two of the ring, divided where blocks are. */
export function mostRuns({ blocks }: SlotLayout): number {
  return 1 + 2 + blocks.length + 1;
}

/** Lays out the scratch. */
export function scratchOf(
  { heads, kvHeads, headDim }: AttentionShape,
  { layout, lanes, threads }: {
    layout: SlotLayout;
    lanes: number;
    threads: number;
  },
): Scratch {
  let size = 0;
  const claim = (floats: number) => {
    const at = size;
    size = aligned(size + floats * FLOAT);
    return at;
  };
  const group = heads / kvHeads;
  // Each run's last step may be behind its last row; the token's own row is a run, too.
  const rows = layout.sinkRows + layout.tailRows + windowRows(layout) +
    ROW_STEP * (mostRuns(layout) + 1);
  const stride = aligned(rows * FLOAT);
  const queries = 2 * group * headDim; // rotated for two positions
  const parts = {
    projections: claim(lanes * (heads + 2 * kvHeads) * headDim),
    angles: claim(lanes * 2 * headDim),
    keys: claim((lanes * kvHeads + ROW_STEP) * headDim),
    attention: claim(lanes * heads * headDim),
  };
  const thread = aligned(queries * FLOAT) + group * stride;
  return {
    ...parts,
    threads: size,
    thread,
    stride,
    size: size + threads * thread,
  };
}

/** Where a layer's parts lie. */
export function layerAt(
  layer: LayerCache,
  { bank, starts }: RowBanks["layers"][number],
): LayerAt {
  const { tensors, layout: { sinkRows, tailRows, blocks } } = layer;
  const lines = (
    find: (tensor: CacheTensor) => boolean,
    before: (tensor: CacheTensor) => number,
  ): LinesAt | null => {
    const index = tensors.findIndex(find);
    const tensor = tensors[index];
    if (!tensor) return null;
    const row = tensor.width * ROW_TYPE_BYTES[tensor.type];
    return {
      start: starts[index]! + before(tensor) * row,
      head: tensorTokens(tensor, layer.layout) * row,
    };
  };
  const rowsAt = (
    of: CacheTensor["rows"],
    holds: (tensor: CacheTensor) => boolean,
    before: (tensor: CacheTensor) => number,
  ): RowsAt => {
    const part = (part: number) => (tensor: CacheTensor) =>
      tensor.rows === of && holds(tensor) &&
      (tensor.encoded?.part ?? 0) === part;
    return {
      ...lines(part(0), before)!,
      element: tensors.find(part(0))!.type as RowElement,
      scales: lines(part(1), before),
    };
  };
  const part = (
    holds: (tensor: CacheTensor) => boolean,
    before: (tensor: CacheTensor) => number,
  ) => ({
    keys: rowsAt("keys", holds, before),
    values: rowsAt("values", holds, before),
  });
  const exact = part(({ sinks }) => sinks, () => 0);
  return {
    bank,
    parts: [
      exact,
      tailRows > 0
        ? part(({ tail }) => tail, ({ sinks }) => sinks ? sinkRows : 0)
        : exact, // nobody asks for it
      ...blocks.map((_, b) =>
        part(
          ({ block }) => block === b,
          ({ sinks }) => sinks ? sinkRows : 0,
        )
      ),
    ],
  };
}

/**
 * The runs that a token sees.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { rowRuns } from "./step_layout.ts";
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

/** Whether a part is the sinks, which a token asks at another position. */
export function isSinks(part: number): boolean {
  return part === SINKS;
}
