/** What is kept beside the tokens of each turn, in the log. @module */
import type { Run } from "../chat/thread.ts";
import type { LoggedTurn, Position } from "../store/records.ts";
import type { Store } from "../store/store.ts";

/** Notes of a turn. */
export interface Notes {
  /** Name of the state that the turn led to, for the model. A branch's first turns have the same. */
  readonly state: string;
  /** Positions in the log at which the turn's messages begin. */
  readonly starts: readonly number[];
  /** How its tokens were computed. */
  readonly runs: readonly Run[];
  /** The instructions that are in effect: the last that were given. */
  readonly instructions: string | null;
  /** A digest of the tools that the model was told of last; none (or `null`) if it never was of any. */
  readonly tools?: string | null;
}

/** The notes of a turn in the log. */
export function notesOf({ boundaries }: LoggedTurn): Notes {
  return boundaries as Notes;
}

/** The notes of the turn that ends at a position; `null` if it was deleted. */
export function readNotes(
  { turns }: Store,
  owner: string,
  { turn }: Position,
): Notes | null {
  const logged = turns.read(owner, turn);
  return logged && notesOf(logged);
}
