/**
 * The turns under way in this process: at most one of a thread. A restart forgets them, which ends
 * them.
 *
 * @module
 */
import type { EventLog } from "./event_log.ts";

/** A turn that was begun and has not ended. */
export interface TurnUnderWay {
  readonly owner: string;
  /** Its response's id. */
  readonly response: string;
  /** The thread that nobody else may append to meanwhile; `null` if it will be a new one. */
  readonly thread: number | null;
  readonly events: EventLog;
}

/** What a turn meets whose response, conversation or previous response was deleted meanwhile. */
export class GoneError extends Error {
  override readonly name = "GoneError";

  constructor() {
    super(
      "Cannot go on with a turn that has ended, or of which something was deleted",
    );
  }
}

/** All turns under way. */
export class UnderWay {
  readonly #turns = new Set<TurnUnderWay>();

  add(turn: TurnUnderWay): void {
    this.#turns.add(turn);
  }

  /** Whether a turn is (still) under way. */
  has(turn: TurnUnderWay): boolean {
    return this.#turns.has(turn);
  }

  /** Whether someone may be appending to a thread. */
  busy(thread: number): boolean {
    return this.#turns.values().some((turn) => turn.thread === thread);
  }

  /** The turn that makes a response. */
  of(owner: string, response: string): TurnUnderWay | null {
    return this.#turns.values().find((turn) =>
      turn.owner === owner && turn.response === response
    ) ?? null;
  }

  /** Takes a turn from the list; whoever follows its events comes to their end. */
  end(turn: TurnUnderWay): void {
    this.#turns.delete(turn);
    turn.events.end();
  }

  /** Ends those turns of which something was deleted; whoever follows their events is told. */
  revoke(deleted: (turn: TurnUnderWay) => boolean): void {
    for (const turn of this.#turns.values().filter(deleted).toArray()) {
      this.#turns.delete(turn);
      turn.events.end(new GoneError());
    }
  }
}
