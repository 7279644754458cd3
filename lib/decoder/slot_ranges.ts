/** Which slots one run of the engine takes together. @module */
import type { SlotRange } from "../cache/layer_memory.ts";

/**
 * Slots that nobody steps but which lie between those that are stepped take part in a run, idle: on
 * 2 cores three of them cost what a run of its own costs, which reads all the weights again.
 */
const MOST_IDLE = 2;

/**
 * Divides slots into ranges, each for one run.
 *
 * @param slots all different
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { slotRanges } from "./slot_ranges.ts";
 * assertEquals(slotRanges([9, 0, 3, 1]), [{ first: 0, count: 4 }, { first: 9, count: 1 }]);
 * ```
 */
export function slotRanges(slots: readonly number[]): SlotRange[] {
  const ranges: { first: number; count: number }[] = [];
  for (const slot of slots.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && slot - (last.first + last.count) <= MOST_IDLE) {
      last.count = slot - last.first + 1;
    } else {
      ranges.push({ first: slot, count: 1 });
    }
  }
  return ranges;
}
