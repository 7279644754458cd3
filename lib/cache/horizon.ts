/** Which messages of a conversation the model can still see, from where they begin. @module */
import { firstFrom } from "./ascending.ts";

/**
 * What the model can still see. Messages are counted as the chat template renders them, oldest first
 * from 0, the answer included: where a template puts a system block of its own before a client's
 * messages, that is message 0. What comes before the first message belongs to it; a template whose
 * messages begin with no control token makes one message of all.
 */
export interface Horizon {
  /** Position of the oldest token that the window holds: the model sees none between the sinks and it. */
  readonly position: number;
  readonly messages: VisibleMessages;
}

/**
 * Messages by how much of them can be seen: those in `partial` in part, those in `gone` not at all,
 * all others whole.
 */
export interface VisibleMessages {
  /** How many can be seen whole. */
  readonly whole: number;
  /**
   * Numbers of those that can be seen in part, ascending, two at most: the one in which the sinks
   * end (with few sinks it is message 0, whose first words stay for ever), and the one in which the
   * window begins.
   */
  readonly partial: readonly number[];
  /** Those that cannot be seen: from number `from` up to, but not including, `to`. */
  readonly gone: { readonly from: number; readonly to: number };
}

/**
 * Which messages can be seen of a conversation whose first `sinks` tokens and tokens from `position`
 * on are there.
 *
 * @param starts positions at which messages begin, ascending
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { visibleMessages } from "./horizon.ts";
 * // Messages of 10 tokens; 4 sinks, and a window that begins at 35.
 * assertEquals(
 *   visibleMessages([0, 10, 20, 30, 40, 50], { seen: 55, sinks: 4, position: 35 }),
 *   { whole: 2, partial: [0, 3], gone: { from: 1, to: 3 } },
 * );
 * ```
 */
export function visibleMessages(
  starts: readonly number[],
  { seen, sinks, position }: { seen: number; sinks: number; position: number },
): VisibleMessages {
  const count = Math.max(firstFrom(starts, seen), Math.min(1, seen));
  const kept = Math.min(sinks, seen);
  if (position <= kept) {
    return { whole: count, partial: [], gone: { from: 0, to: 0 } };
  }
  const messageOf = (p: number) => Math.max(0, firstFrom(starts, p + 1) - 1);
  const [first, last] = [messageOf(kept), messageOf(position - 1)];
  const firstStays = first === 0 ? kept > 0 : starts[first]! < kept;
  const lastStays = position < (last + 1 < count ? starts[last + 1]! : seen);
  const from = firstStays ? first + 1 : first;
  const to = Math.max(from, lastStays ? last : last + 1);
  const partial = [
    ...(firstStays ? [first] : []),
    ...(lastStays && !(firstStays && first === last) ? [last] : []),
  ];
  return {
    whole: count - partial.length - (to - from),
    partial,
    gone: { from, to },
  };
}
