/**
 * StreamingLLM's policy in arithmetic alone: which tokens stay, where their rows lie, which rows a
 * query sees and at which position it asks. No tensors, no I/O.
 *
 * A conversation keeps its first S tokens (attention sinks) and its last W ones (the window). The
 * window is a ring: the row of position p ≥ S lies at (p − S) mod W, so that a new token evicts
 * the oldest one by overwriting it. Keys are rotated at their absolute positions (sinks: 0 … S−1)
 * and never rewritten. A query at p asks the window at position p, where all differences are
 * right, and the sinks at position min(p, C − 1), its index in a cache of C = S + W tokens
 * (arXiv 2309.17453, `pos_shift`).
 *
 * Tokens leave one by one, or a message at a time: told at which positions messages begin
 * (`boundaries`), a query that cannot see all tokens sees its window from the next such position on,
 * so that no message is cut in the middle. The rows lie in the ring all the same; what changes is
 * the mask, and with it the query's index in the cache.
 *
 * @module
 */
import { firstFrom } from "./ascending.ts";

/** Where a row is kept. */
export interface RowPlace {
  readonly part: "sinks" | "window";
  readonly index: number;
}

/** Rows that lie beside each other. */
export interface RowRange {
  readonly first: number;
  readonly rows: number;
}

/** Added to the score of a row that a query must not see: `exp` of it is 0 in f32, and f16 can hold it. */
export const HIDDEN = -30_000;

/** The policy for one conversation. */
export class SinkWindow {
  /** S: tokens kept for ever. */
  readonly sinks: number;
  /** W: latest tokens kept, the current one included. */
  readonly window: number;

  /** @throws {RangeError} if `sinks` is negative or `window` is below 1, or either is no integer. */
  constructor(sinks: number, window: number) {
    if (!Number.isSafeInteger(sinks) || sinks < 0) {
      throw new RangeError(
        `Cannot keep ${sinks} sinks: give a whole number from 0`,
      );
    }
    if (!Number.isSafeInteger(window) || window < 1) {
      throw new RangeError(
        `Cannot keep a window of ${window} tokens: give a whole number from 1`,
      );
    }
    this.sinks = sinks;
    this.window = window;
  }

  /** C: most tokens held. */
  get capacity(): number {
    return this.sinks + this.window;
  }

  /** Tokens held after `seen` were appended: as many as the last of them sees. */
  held(seen: number, boundaries: readonly number[] = []): number {
    return seen - this.evicted(seen, boundaries);
  }

  /** Tokens that have left after `seen` were appended. */
  evicted(seen: number, boundaries: readonly number[] = []): number {
    return this.horizon(seen, boundaries) - Math.min(this.sinks, seen);
  }

  /** Position of the oldest token behind the sinks that is held after `seen` were appended; `seen` if none is. */
  horizon(seen: number, boundaries: readonly number[] = []): number {
    return Math.min(seen, this.oldest(seen - 1, boundaries));
  }

  /**
   * Oldest position behind the sinks that the query of token `p` sees: S while nothing has left, then
   * the first boundary from p − W + 1 on, or p − W + 1 itself if no message begins from there to p.
   *
   * @param boundaries positions at which messages begin, ascending; without any, tokens leave one by one
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SinkWindow } from "./sink_window.ts";
   * const policy = new SinkWindow(4, 10);
   * assertEquals([13, 14, 20].map((p) => policy.oldest(p)), [4, 5, 11]);
   * assertEquals([13, 14, 20].map((p) => policy.oldest(p, [0, 9, 30])), [4, 9, 11]);
   * ```
   */
  oldest(p: number, boundaries: readonly number[] = []): number {
    const first = Math.max(this.sinks, p - this.window + 1);
    if (first === this.sinks) return first; // where nothing has left, nothing is cut
    const boundary = boundaries[firstFrom(boundaries, first)];
    return boundary !== undefined && boundary <= p ? boundary : first;
  }

  /** Rows of the ring that are in use, from its beginning, after `seen` tokens were appended. */
  ringRows(seen: number): number {
    return Math.max(0, Math.min(this.window, seen - this.sinks));
  }

  /**
   * The stored rows that the query of token `p` sees.
   *
   * @param stored tokens before it whose rows are stored
   * @param tailRows rows of the tail, which holds the latest of all tokens; 0 for none
   */
  seenRows(
    p: number,
    { stored, tailRows, boundaries }: {
      stored: number;
      tailRows: number;
      boundaries: readonly number[];
    },
  ): { sinks: number; tail: RowRange[]; ring: RowRange[] } {
    const oldest = this.oldest(p, boundaries);
    const recent = Math.max(oldest, p - tailRows + 1); // oldest position that is seen in the tail
    return {
      sinks: Math.min(stored, this.sinks),
      tail: tailRows > 0 ? wrapped(recent, stored, tailRows) : [],
      ring: wrapped(
        oldest - this.sinks,
        Math.min(stored, recent) - this.sinks,
        this.window,
      ),
    };
  }

  /** Where the row of position `p` is written, over the row of `p − W` if there is one. */
  place(p: number): RowPlace {
    return p < this.sinks
      ? { part: "sinks", index: p }
      : { part: "window", index: (p - this.sinks) % this.window };
  }

  /** Position at which the query of token `p` asks the sinks: its index in the cache. */
  sinkQueryPosition(p: number, boundaries: readonly number[] = []): number {
    return p - (this.oldest(p, boundaries) - this.sinks);
  }

  /**
   * Longest chunk that may start after `seen` tokens: one that reads sinks must not also reach
   * past capacity, where the sinks need another distance than the chunk's own rows have.
   */
  chunkLimit(seen: number): number {
    return seen < this.sinks ? this.capacity - seen : Infinity;
  }

  /**
   * Fills the mask of a chunk of `count` tokens that starts after `seen` ones. Each query's row is
   * `[sinkRows | tailRows | windowRows | columns of the chunk]`: 0 where it sees, {@linkcode HIDDEN}
   * elsewhere. If there is a tail, each query sees the latest `tailRows` positions there (the row of
   * position q at q mod `tailRows`) and older ones in the ring; the chunk must be no longer than it.
   *
   * @param mask `[count, sinkRows + tailRows + windowRows + chunkColumns]`, filled whole.
   */
  fillMask(
    mask: Float32Array,
    chunk: {
      seen: number;
      count: number;
      chunkColumns: number;
      boundaries: readonly number[];
    },
    rows: { sinkRows: number; tailRows?: number; windowRows: number },
  ): void {
    const { seen, count, chunkColumns, boundaries } = chunk;
    const { sinkRows, tailRows = 0, windowRows } = rows;
    const width = sinkRows + tailRows + windowRows + chunkColumns;
    mask.fill(HIDDEN);
    for (let t = 0; t < count; t++) {
      const p = seen + t;
      const row = t * width;
      const tail = row + sinkRows;
      const ring = tail + tailRows;
      const see = (from: number, { first, rows }: RowRange) =>
        mask.fill(0, from + first, from + first + rows);
      const of = { stored: seen, tailRows, boundaries };
      const stored = this.seenRows(p, of);
      see(row, { first: 0, rows: stored.sinks });
      for (const rows of stored.tail) see(tail, rows);
      for (const rows of stored.ring) see(ring, rows);
      const oldest = this.oldest(p, boundaries);
      const own = ring + windowRows;
      for (let j = 0; j <= t; j++) {
        const q = seen + j;
        if (q < this.sinks || q >= oldest) mask[own + j] = 0;
      }
    }
  }
}

/** Where the numbers from `first` to before `end` lie in a ring of `size`: in one run, or in two if it wraps. */
function wrapped(first: number, end: number, size: number): RowRange[] {
  if (first >= end) return [];
  const from = first % size;
  const head = Math.min(end - first, size - from);
  const rest = end - first - head;
  return [
    { first: from, rows: head },
    ...rest > 0 ? [{ first: 0, rows: rest }] : [],
  ];
}
