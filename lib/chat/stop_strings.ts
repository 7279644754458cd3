/**
 * Stop strings in a stream of text: a stop string may begin in one token and end some tokens later,
 * and a client must see none of it.
 *
 * The stops are one Aho–Corasick automaton (Aho and Corasick 1975), so a stream costs time in its
 * length, whatever the stops are. Text that is held back is always the beginning of a stop string:
 * the automaton's state says which, and nothing is stored.
 *
 * @module
 */

/** What {@linkcode StopStrings.push} gives. */
export interface StopResult {
  /** Text that belongs to no stop string. */
  text: string;
  /** Whether a stop string was found; all that follows is dropped. */
  stopped: boolean;
}

/** A node of the automaton: a beginning of one or more stop strings. */
interface State {
  /** The beginning itself is `stop.slice(0, depth)`. */
  readonly stop: string;
  readonly depth: number;
  readonly next: Map<number, State>;
  /** The longest other state that the beginning ends with. */
  fallback: State | null;
  /** Length of the longest stop string that the beginning ends with; 0 for none. */
  found: number;
}

/**
 * Cuts a stream of text before the first stop string in it.
 *
 * The first is the one that is complete first, however the text was cut into parts; of several that
 * are complete at the same character, the longest.
 *
 * @example A stop string across two parts
 * ```ts
 * import { StopStrings } from "./stop_strings.ts";
 *
 * const stops = new StopStrings(["\nUser:"]);
 * if (stops.push("Yes.\nUs").text !== "Yes.") throw new Error("unreachable");
 * if (!stops.push("er: hm").stopped) throw new Error("unreachable");
 * ```
 */
export class StopStrings {
  #state: State;
  #stopped = false;
  readonly #root: State;

  /** @throws {RangeError} if a stop string is empty. */
  constructor(stops: readonly string[]) {
    this.#root = buildAutomaton(stops.map((stop) => stop.toWellFormed()));
    this.#state = this.#root;
  }

  /** Takes the next part of the text; what may still begin a stop string is held back. */
  push(text: string): StopResult {
    if (this.#stopped) return { text: "", stopped: true };
    const before = this.#state;
    for (let i = 0; i < text.length; i++) {
      this.#state = step(this.#state, text.charCodeAt(i));
      if (this.#state.found === 0) continue;
      this.#stopped = true;
      return {
        text: take(before, text, before.depth + i + 1 - this.#state.found),
        stopped: true,
      };
    }
    const length = before.depth + text.length - this.#state.depth;
    return { text: take(before, text, length), stopped: false };
  }

  /** The text is over: gives what was held back. */
  end(): string {
    const held = this.#stopped
      ? ""
      : this.#state.stop.slice(0, this.#state.depth);
    this.#state = this.#root;
    return held;
  }
}

/** The first `length` characters of what `held` holds back and then `text`. */
function take(held: State, text: string, length: number): string {
  if (length <= held.depth) return held.stop.slice(0, length);
  return held.stop.slice(0, held.depth) + text.slice(0, length - held.depth);
}

function step(from: State, unit: number): State {
  let state = from;
  for (;;) {
    const next = state.next.get(unit);
    if (next) return next;
    if (!state.fallback) return state;
    state = state.fallback;
  }
}

function buildAutomaton(stops: readonly string[]): State {
  const root: State = {
    stop: "",
    depth: 0,
    next: new Map(),
    fallback: null,
    found: 0,
  };
  for (const stop of stops) addStop(root, stop);
  // Breadth first: a state's fallback is shorter than the state, so it is complete before.
  const queue = [root];
  for (const state of queue) {
    for (const [unit, next] of state.next) {
      next.fallback = state.fallback ? step(state.fallback, unit) : root;
      next.found ||= next.fallback.found;
      queue.push(next);
    }
  }
  return root;
}

function addStop(root: State, stop: string): void {
  if (stop === "") throw new RangeError("Cannot stop at an empty string");
  let state = root;
  for (let i = 0; i < stop.length; i++) {
    const unit = stop.charCodeAt(i);
    let next = state.next.get(unit);
    if (!next) {
      next = { stop, depth: i + 1, next: new Map(), fallback: null, found: 0 };
      state.next.set(unit, next);
    }
    state = next;
  }
  state.found = stop.length;
}
