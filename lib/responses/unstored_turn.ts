/** A turn that leaves nothing behind, for clients that ask for that (`store: false`). @module */
import { EventLog } from "../store/event_log.ts";
import type { Position, ResponseBody, StreamEvent } from "../store/records.ts";
import type { Start, Turn, TurnResult } from "../store/turn.ts";

/** What running a response needs of a turn. */
export type RunnableTurn =
  & Pick<Turn, "start" | "gone" | "append" | "branches">
  & {
    readonly events: Pick<EventLog, "follow">;
    commit(result: TurnResult): Position | null;
    abandon(body: ResponseBody): void;
  };

/** A turn of which nobody else ever hears. */
export class UnstoredTurn implements RunnableTurn {
  readonly start: Start;
  readonly gone = false;
  readonly events: EventLog;

  /** @param eventLength most UTF-16 units of events that are kept for its reader */
  constructor(start: Start, eventLength: number) {
    this.start = start;
    this.events = new EventLog(eventLength);
  }

  get branches(): boolean {
    return this.start.base !== null;
  }

  append(event: StreamEvent): void {
    this.events.append(event);
  }

  commit({ event }: TurnResult): null {
    if (event) this.events.append(event);
    this.events.end();
    return null;
  }

  abandon(): void {
    this.events.end();
  }
}
