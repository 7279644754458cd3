/** Which sinks are copied where, so that queries past capacity see them at their distance. @module */
import { type Lane, sinkCopies, sinkShift } from "../../cache/gpu_rows.ts";
import type { Held } from "../../cache/sink_window.ts";
import type { SlotBank, SlotMove } from "./slot_bank.ts";

/** Copies of a slot's sinks for its conversation's next token. */
export function copiesForNext(
  bank: SlotBank,
  slot: number,
  { policy, seen }: Held,
): SlotMove[] {
  return copies(bank, slot, { policy, position: seen, t: 0 });
}

/** Copies of the stage's sinks for all queries of a chunk. */
export function copiesForChunk(
  stage: SlotBank,
  { policy, seen, count }: Lane,
): SlotMove[] {
  return Array.from(
    { length: count },
    (_, t) => copies(stage, 0, { policy, position: seen + t, t }),
  ).flat();
}

function copies(
  bank: SlotBank,
  slot: number,
  { policy, position, t }: Pick<Lane, "policy"> & {
    position: number;
    t: number;
  },
): SlotMove[] {
  const shift = sinkShift(policy, position);
  if (shift === 0) return [];
  return sinkCopies(bank.rows, policy, t).map((move) => ({
    ...move,
    slot,
    shift,
  }));
}
