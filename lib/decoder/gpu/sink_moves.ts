/** Which sinks are copied where, so that queries past capacity see them at their distance. @module */
import { type Lane, sinkCopies, sinkShift } from "../../cache/gpu_rows.ts";
import type { Held } from "../../cache/held.ts";
import type { SlotBank, SlotMove } from "./slot_bank.ts";

/** Copies of a slot's sinks for its conversation's next token, if that begins no message. */
export function copiesForNext(
  bank: SlotBank,
  slot: number,
  held: Held,
): SlotMove[] {
  return copies(bank, slot, { ...held, position: held.seen, t: 0 });
}

/** Copies of the stage's sinks for all queries of a chunk. */
export function copiesForChunk(
  stage: SlotBank,
  lane: Lane,
): SlotMove[] {
  return Array.from(
    { length: lane.count },
    (_, t) => copies(stage, 0, { ...lane, position: lane.seen + t, t }),
  ).flat();
}

function copies(
  bank: SlotBank,
  slot: number,
  of: Held & { position: number; t: number },
): SlotMove[] {
  const shift = sinkShift(of, of.position);
  if (shift === 0) return [];
  return sinkCopies(bank.rows, of.policy, of.t).map((move) => ({
    ...move,
    slot,
    shift,
  }));
}
