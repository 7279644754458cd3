/**
 * The kernels' twins: what each should give, in f64 on the CPU and written to be read.
 *
 * @module
 */
import type { PackedShape } from "../../kernels/packed_rows.ts";
import type { RowMove } from "../../kernels/ring_write.ts";
import type { RowBlock } from "../../kernels/row_block.ts";
import {
  type LogitChange,
  type LogitSummary,
  SUMMARY_TOKENS,
  type SummaryRequest,
} from "../../lib/sampling/summary.ts";

/** `[slots, heads, rows, width]`. */
export interface CacheShape {
  readonly slots: number;
  readonly heads: number;
  readonly rows: number;
  readonly width: number;
}

/** A layer's cache, in any array of numbers. */
export interface HostCache<Numbers> {
  readonly keys: Numbers;
  readonly values: Numbers;
}

type Writable = { [index: number]: number };

/** Twin of `RingWrite.run` for one layer, in place. */
export function moveRows(
  { keys, values }: HostCache<Writable>,
  moves: readonly RowMove[],
  of: CacheShape & {
    rotated: number;
    angles: { cos: Float32Array; sin: Float32Array };
  },
): void {
  const half = of.rotated / 2;
  for (const { slot, from, to, angle } of moves) {
    for (let head = 0; head < of.heads; head++) {
      const source = ((slot * of.heads + head) * of.rows + from) * of.width;
      const place = ((slot * of.heads + head) * of.rows + to) * of.width;
      for (let i = 0; i < of.width; i++) {
        values[place + i] = values[source + i]!;
        keys[place + i] = keys[source + i]!;
      }
      if (angle < 0) continue;
      for (let i = 0; i < half; i++) {
        const cos = of.angles.cos[angle * half + i]!;
        const sin = of.angles.sin[angle * half + i]!;
        const x = keys[source + i]!;
        const y = keys[source + half + i]!;
        keys[place + i] = x * cos - y * sin;
        keys[place + half + i] = y * cos + x * sin;
      }
    }
  }
}

/** Twin of one of `SlotCopy.run`'s copies. */
export function copyRows(
  from: HostBlock,
  to: HostBlock,
  { heads, width, rows }: { heads: number; width: number; rows: number },
): void {
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < width; i++) {
        to.data[elementOf(to, { head, row, heads, width }) + i] = from
          .data[elementOf(from, { head, row, heads, width }) + i]!;
      }
    }
  }
}

/** A row block of the host. */
export type HostBlock = Omit<RowBlock, "buffer"> & { data: Writable };

function elementOf(
  { rows, slot = 0, firstRow = 0, offset = 0 }: HostBlock,
  at: { head: number; row: number; heads: number; width: number },
): number {
  const head = slot * at.heads + at.head;
  return offset + (head * rows + firstRow + at.row) * at.width;
}

/** Twin of `SampleKernel.run` for one row. */
export function summarise(
  logits: Float32Array,
  { temperature, fraction, changes }: SummaryRequest,
): LogitSummary {
  const changed = changeLogits(logits, changes);
  const max = Math.max(...changed);
  const weights = Array.from(
    changed,
    (logit) => Math.exp((logit - max) / temperature),
  );
  const total = sum(weights);
  let running = 0;
  const drawn = weights.findIndex((weight) =>
    (running += weight) > fraction * total
  );
  const token = drawn >= 0 ? drawn : weights.findLastIndex((w) => w > 0);
  const tokens = Array.from(changed, (_, id) => id)
    .sort((a, b) => changed[b]! - changed[a]! || a - b)
    .slice(0, SUMMARY_TOKENS);
  const rawMax = Math.max(...logits);
  return {
    tokens: Uint32Array.from(tokens),
    logits: Float32Array.from(tokens, (id) => changed[id]!),
    temperedLogSum: max / temperature + Math.log(total),
    logSum: rawMax +
      Math.log(sum(Array.from(logits, (x) => Math.exp(x - rawMax)))),
    drawn: { token, logit: changed[token]! },
  };
}

/** The logits after a request's changes. */
export function changeLogits(
  logits: Float32Array,
  changes: readonly LogitChange[],
): Float64Array {
  const changed = Float64Array.from(logits);
  for (const { token, divisor, added } of changes) {
    const logit = changed[token]!;
    changed[token] = (logit > 0 ? logit / divisor : logit * divisor) + added;
  }
  return changed;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

/** Where the elements of each group are, in `[heads, rows, width]`, by group. */
export function groupElements(
  { heads, width, groupedBy }: PackedShape,
  rows: number,
): number[][] {
  const groups: number[][] = [];
  const element = (head: number, row: number, column: number) =>
    (head * rows + row) * width + column;
  for (let head = 0; head < heads; head++) {
    if (groupedBy === "token") {
      for (let row = 0; row < rows; row++) {
        for (const columns of groupsOf(width)) {
          groups.push(columns.map((column) => element(head, row, column)));
        }
      }
    } else {
      for (const chunk of groupsOf(rows)) {
        for (let column = 0; column < width; column++) {
          groups.push(chunk.map((row) => element(head, row, column)));
        }
      }
    }
  }
  return groups;
}

/** Twin of pack_rows.wgsl for one group; codes are not yet rounded. */
export function packGroup(
  elements: readonly number[],
  bits: number,
): { scale: number; zero: number; codes: number[] } {
  const zero = Math.min(...elements);
  const scale = (Math.max(...elements) - zero) / (2 ** bits - 1);
  const codes = elements.map((x) => scale === 0 ? 0 : (x - zero) / scale);
  return { scale, zero, codes };
}

/** The nearest whole number; the even one of two. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** The numbers below `length`, 32 by 32. */
function groupsOf(length: number): number[][] {
  const numbers = Array.from({ length }, (_, i) => i);
  const groups: number[][] = [];
  for (let first = 0; first < length; first += 32) {
    groups.push(numbers.slice(first, first + 32));
  }
  return groups;
}
