/** How many slots, of how many rows, a decoder on a GPU has: arithmetic alone. @module */
import { type GpuRows, rowCount } from "../../cache/gpu_rows.ts";
import { type CacheTensor, conversationBytes } from "../../cache/layout.ts";
import type { DecoderPlan } from "../../graph/convert.ts";
import { bytesOf, type Element } from "../../../kernels/element.ts";
import { fittingSlots } from "../fitting_slots.ts";

/** What a decoder on a GPU has room for. */
export interface GpuSize {
  readonly slots: number;
  /** Most sinks of a conversation, and tokens of its window. */
  readonly sinks: number;
  readonly window: number;
  /** Most tokens of a run of one conversation. */
  readonly chunk: number;
  readonly element: Element;
  /** Tokens after which a conversation is copied to the host at the earliest, so that no more need be computed again. */
  readonly repeated?: number;
}

/** Rows that a chunk past capacity may use for copies of the sinks … */
const COPY_ROWS = 256;
/** … and queries that have some in any case. */
const LEAST_COPIES = 8;

/** Rows of the stage, where chunks run. */
export function stageRows({ sinks, window, chunk }: GpuSize): GpuRows {
  const rows = Math.max(1, sinks);
  const copies = Math.max(LEAST_COPIES, Math.floor(COPY_ROWS / rows));
  return { sinks: rows, window, copies: Math.min(chunk, copies), spare: chunk };
}

/** Rows of a slot in a bank of `slots`. */
export function bankRows({ sinks, window }: GpuSize, slots: number): GpuRows {
  return { sinks: Math.max(1, sinks), window, copies: 1, spare: slots };
}

/**
 * Slots of one bank, so that each of its tensors can be bound whole.
 *
 * @param most bytes that can be bound
 * @throws {RangeError} if not even one slot can
 */
export function bankSlots(
  size: GpuSize,
  { heads, width }: Pick<CacheTensor, "heads" | "width">,
  most: number,
): number {
  const bytes = (slots: number) =>
    slots * heads * rowCount(bankRows(size, slots)) * width *
    bytesOf(size.element);
  let slots = size.slots;
  while (slots > 1 && bytes(slots) > most) slots = Math.ceil(slots / 2);
  if (bytes(slots) <= most) return slots;
  throw new RangeError(
    `Cannot keep a window of ${size.window} tokens on this GPU: a layer's keys take ${
      bytes(1)
    } bytes, ` +
      `and it binds ${most} at most. Make EVERSTREAM_WINDOW smaller`,
  );
}

/** Bytes of one slot's cache, with its spare rows. */
export function gpuSlotBytes(
  { layers, tensors }: { layers: number; tensors: readonly CacheTensor[] },
  rows: GpuRows,
): number {
  const layout = {
    sinkRows: rows.sinks,
    tailRows: 0,
    blocks: [rowCount(rows) - rows.sinks],
  };
  return conversationBytes(Array(layers).fill({ tensors, layout }));
}

/**
 * Slots that fit into a memory.
 *
 * @throws {RangeError} if not even one does
 */
export function slotsIn(
  memory: number,
  size: Omit<GpuSize, "slots">,
  { shape, attention }: DecoderPlan,
): number {
  const cache = { layers: shape.layers, tensors: attention.tensors(0) };
  // A slot has a spare row for each of its bank: the more there are, the larger is each.
  const each = (slots: number) =>
    gpuSlotBytes(cache, bankRows({ ...size, slots }, slots));
  let slots = fittingSlots(memory, each(1), size);
  while (slots > 1 && slots * each(slots) > memory) slots--;
  return slots;
}
