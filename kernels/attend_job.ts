/**
 * What the kernel of attention (`attend_rows.x64.ts`) and who calls it agree on: how a step is described in memory.
 * An item is one conversation's queries of some heads of one KV head; addresses, sizes and counts are of 64 bits.
 *
 * @module
 */
import { ROW_TYPE_BYTES } from "../lib/cache/layout.ts";
import type { AttentionShape } from "../lib/graph/decoder_shape.ts";

/** Query heads of one pass over the rows; more would not fit 16 registers. */
export const MOST_HEADS = 3;

/** Widths of heads that the kernel takes: multiples of the one, up to the other. */
export const HEAD_STEP = 16;
export const MOST_HEAD_DIM = 256;

/** What rows can be made of; a {@linkcode PART} says so by the place in this list. */
export const ROW_ELEMENTS = ["float32", "int16", "int8"] as const;

/** What a row is made of. */
export type RowElement = typeof ROW_ELEMENTS[number];

/** Fields of a job, by the place of each: one layer of a step. */
export const JOB = {
  /** Address of the layer's {@linkcode PART}s. */
  parts: 0,
  /** Address of the first {@linkcode LANE}, and bytes from one to the next. */
  lanes: 1,
  laneBytes: 2,
  /** Address of f32 `[lanes, heads + 2 kvHeads, headDim]`. */
  projections: 3,
  /** Address of f32 to be filled in, `[lanes, heads, headDim]`. */
  attended: 4,
  /** Addresses of f32 to be filled in with rotated keys and with values, `[kvHeads, headDim]`; bytes to the next lane's. */
  keys: 5,
  values: 6,
  newRowBytes: 7,
  /** Address of {@linkcode attendConstants}. */
  constants: 8,
  fields: 9,
} as const;

/** Fields of rows that lie beside each other in a layer, of all slots. */
export const PART = {
  /** Addresses of the first slot's. */
  keys: 0,
  values: 1,
  keyScales: 2,
  valueScales: 3,
  /** Likewise, bytes from those of one KV head of a slot to the next one's. */
  keyLine: 4,
  valueLine: 5,
  keyScaleLine: 6,
  valueScaleLine: 7,
  /** Place in {@linkcode ROW_ELEMENTS}; integers have scales, f32 has none. */
  element: 8,
  /** 1 if they are asked at the sinks' position. */
  sinks: 9,
  fields: 10,
} as const;

/** Fields of one conversation, and of each of the runs of rows that it sees. */
export const LANE = {
  /** Its slot, times the number of KV heads. */
  line: 0,
  /** Address of cosines and sines of its position, then of the one at which it asks the sinks: f32 `[4, headDim / 2]`. */
  angles: 1,
  runs: 2,
  /** The first run. */
  first: 3,
  run: { part: 0, first: 1, rows: 2, fields: 3 },
} as const;

/** Bytes of a field. */
export const FIELD = 8;

/** Query heads of an item: as many as divide a KV head's evenly. */
export function headsOfItem({ heads, kvHeads }: AttentionShape): number {
  const group = heads / kvHeads;
  for (let count = MOST_HEADS;; count--) if (group % count === 0) return count;
}

/** Bytes of an f32. */
export const FLOAT = ROW_TYPE_BYTES.float32;
/** f32 of a vector. */
export const LANES = 8;
/** Keys that are taken at a time. */
export const KEYS = 4;
/** Bytes that may be read, but never count, behind the last row or scale of a memory. */
export const READ_BEHIND = KEYS * MOST_HEAD_DIM * FLOAT;

/** Numbers that the kernel reads, each in all lanes of a vector. */
export const CONSTANTS = {
  one: 1,
  /** Below any score; its exponential is 0. */
  lowest: -1e30,
  octave: Math.LOG2E,
  magic: 1.5 * 2 ** 23,
  /** ln 2 in two parts, the first of which has few digits. */
  high: 0.693359375,
  low: -2.12194440e-4,
  least: -87,
  c2: 1 / 2,
  c3: 1 / 6,
  c4: 1 / 24,
  c5: 1 / 120,
  c6: 1 / 720,
};

/** What {@linkcode JOB} wants as its constants. */
export function attendConstants(): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    Object.values(CONSTANTS).flatMap((value) => Array(LANES).fill(value)),
  );
}
