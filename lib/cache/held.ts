/**
 * What is known of a conversation's cache beside its rows. Layers that keep windows of their own have
 * all of it in common.
 *
 * @module
 */
import { firstFrom } from "./ascending.ts";
import type { SinkWindow } from "./sink_window.ts";

/** A conversation as far as its cache goes. */
export interface Held {
  readonly policy: SinkWindow;
  /** Tokens appended so far. */
  readonly seen: number;
  /**
   * Positions at which messages begin, ascending: the window of a query begins at one of them, if
   * it can (`SinkWindow.oldest`). Those that no query can ask for any more are left out; where
   * tokens leave one by one there are none.
   */
  readonly boundaries: readonly number[];
}

/** A conversation before its first token. */
export function nothingHeld(policy: SinkWindow): Held {
  return { policy, seen: 0, boundaries: [] };
}

/** The conversation as its next tokens find it, of which those at `starts` begin messages; nothing is appended yet. */
export function withStarts(
  held: Held,
  starts: readonly number[] | undefined,
): Held {
  const { policy, seen, boundaries } = held;
  if (!starts || starts.length === 0) return { policy, seen, boundaries };
  const more = starts.map((index) => seen + index);
  return { policy, seen, boundaries: [...boundaries, ...more] };
}

/**
 * The conversation after `count` more tokens.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { appended, nothingHeld, withStarts } from "./held.ts";
 * import { SinkWindow } from "./sink_window.ts";
 * const held = appended(withStarts(nothingHeld(new SinkWindow(4, 10)), [0, 7, 12]), 20);
 * assertEquals([held.seen, held.boundaries], [20, [12]]);
 * ```
 */
export function appended(
  { policy, seen: before, boundaries }: Held,
  count: number,
): Held {
  const seen = before + count;
  // The last query's window is the oldest that anybody asks for.
  const first = firstFrom(boundaries, seen - policy.window);
  return {
    policy,
    seen,
    boundaries: first === 0 ? boundaries : boundaries.slice(first),
  };
}

/** The conversation without all but its first `count` tokens, which must all be there. */
export function rewound({ policy, boundaries }: Held, count: number): Held {
  const kept = boundaries.slice(0, firstFrom(boundaries, count));
  return { policy, seen: count, boundaries: kept };
}
