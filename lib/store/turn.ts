/** A turn under way, from its beginning to its commit. @module */
import { EventLog } from "./event_log.ts";
import { insertItems } from "./items.ts";
import type { Parts } from "./parts.ts";
import type {
  Item,
  Position,
  ResponseBody,
  Setup,
  StreamEvent,
} from "./records.ts";
import { GoneError, type TurnUnderWay } from "./under_way.ts";

/** Where a turn begins. */
export interface Start {
  /** The thread that the turn is appended to; `null`: a new one. */
  readonly thread: number | null;
  /** That thread, if it is a conversation's. */
  readonly conversation: number | null;
  /** The end of the log that the turn goes on from; `null`: an empty one. */
  readonly base: Position | null;
  /** The response that the base is of, if it was asked for by that. */
  readonly previous: string | null;
  /** What the log was begun with; `null` if it is empty. */
  readonly setup: Setup | null;
  /** Items of the conversation that the log does not hold yet. */
  readonly pending: readonly Item[];
}

/** What a turn has come to. */
export interface TurnResult {
  readonly body: ResponseBody;
  /** What the model has given. */
  readonly output: readonly Item[];
  /** All that the turn appends to the log: of pending items, of the input and of the output. */
  readonly tokens: Uint32Array;
  /** Where messages begin and end in `tokens`: any JSON. */
  readonly boundaries: unknown;
  /** What the tokens were computed with. */
  readonly setup: Setup;
  /** The last of the response's stream, which nobody comes to unless the commit succeeds. */
  readonly event?: StreamEvent;
}

/**
 * A turn under way. Nothing of it can be seen but its response, which is in progress, and that one's
 * events, until {@linkcode Turn.commit}.
 */
export class Turn implements TurnUnderWay {
  readonly owner: string;
  readonly response: string;
  readonly start: Start;
  readonly events: EventLog;
  readonly #input: readonly Item[];
  readonly #parts: Parts;

  /** Made by {@linkcode Turns.begin} alone. */
  constructor(
    parts: Parts,
    { owner, response, input, start }: {
      owner: string;
      response: string;
      input: readonly Item[];
      start: Start;
    },
  ) {
    this.owner = owner;
    this.response = response;
    this.start = start;
    this.events = new EventLog(parts.eventLength);
    this.#input = input;
    this.#parts = parts;
  }

  get thread(): number | null {
    return this.start.thread;
  }

  /** Whether it has ended, or something was deleted of it. */
  get gone(): boolean {
    return !this.#parts.underWay.has(this);
  }

  /** Whether the commit makes a copy of the log, since others go on from its base too. */
  get branches(): boolean {
    return this.start.base !== null && this.start.thread === null;
  }

  /**
   * Appends an event of the response's stream.
   *
   * @throws {GoneError}
   * @throws {RangeError} if its number is not the next one
   */
  append(event: StreamEvent): void {
    if (this.gone) throw new GoneError();
    this.events.append(event);
  }

  /**
   * Ends the turn: its tokens, its items, its response and that one's events, all or nothing. If it
   * throws, nothing has changed, and the turn is still under way unless it is gone.
   *
   * @throws {GoneError}
   * @throws {RangeError} if the thread was begun with another model or policy
   */
  commit(result: TurnResult): Position {
    if (this.gone) throw new GoneError();
    const position = this.#commit(result);
    this.#parts.underWay.end(this);
    return position;
  }

  /**
   * Ends the turn as if it had not been, but for the response that says why; a retry of the request
   * is a new one. A turn that has ended stays as it is.
   */
  abandon(body: ResponseBody): void {
    const { db, underWay } = this.#parts;
    if (!underWay.has(this)) return;
    try {
      db.transaction(() => {
        this.#endResponse(body, {
          thread: this.start.conversation,
          turn: null,
        });
        db.run(
          `DELETE FROM requests INDEXED BY requests_by_response
           WHERE owner = ? AND response = ?`,
          this.owner,
          this.response,
        );
      });
    } finally {
      underWay.end(this);
    }
  }

  #commit(result: TurnResult): Position {
    // Readers go on when this is over: they see the event and the commit, or neither.
    if (result.event) this.events.append(result.event);
    try {
      return this.#parts.db.transaction(() => {
        const position = this.#appendLog(result);
        this.#takeItems(position, result.output);
        const { thread, turn } = position;
        this.#endResponse(result.body, { thread, turn });
        return position;
      });
    } catch (error) {
      if (result.event) this.events.retract();
      throw error;
    }
  }

  #appendLog({ tokens, boundaries, setup }: TurnResult): Position {
    const { db } = this.#parts;
    const { base } = this.start;
    const thread = this.#openThread(setup);
    const number = (base?.number ?? 0) + 1;
    const ends = (base?.tokens ?? 0) + tokens.length;
    const { lastInsertRowid: turn } = db.run(
      "INSERT INTO turns (thread, number, ends, boundaries, tokens) VALUES (?, ?, ?, ?, ?)",
      thread,
      number,
      ends,
      JSON.stringify(boundaries),
      new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength),
    );
    return { thread, turn, number, tokens: ends };
  }

  #openThread(setup: Setup): number {
    const { db, now } = this.#parts;
    const { base, previous, thread } = this.start;
    const begunWith = this.start.setup;
    if (begunWith && setupText(begunWith) !== setupText(setup)) {
      throw new RangeError(
        `Cannot go on with ${setupText(setup)}: the thread was begun with ` +
          `${setupText(begunWith)}, and what its tokens mean depends on that`,
      );
    }
    if (previous !== null && !this.#isThere(previous)) throw new GoneError();
    if (thread !== null) {
      db.run(
        "UPDATE threads SET setup = ? WHERE id = ?",
        setupText(setup),
        thread,
      );
      return thread;
    }
    const { lastInsertRowid: fresh } = db.run(
      "INSERT INTO threads (owner, created_at, setup) VALUES (?, ?, ?)",
      this.owner,
      Math.floor(now() / 1000),
      setupText(setup),
    );
    if (base) {
      db.run(
        `INSERT INTO turns (thread, number, ends, boundaries, tokens)
         SELECT ?, number, ends, boundaries, tokens FROM turns
         WHERE thread = ? AND id <= ? ORDER BY id`,
        fresh,
        base.thread,
        base.turn,
      );
    }
    return fresh;
  }

  /** Whether the previous response is still where it was. */
  #isThere(previous: string): boolean {
    return this.#parts.db.get(
      "SELECT 1 FROM responses WHERE owner = ? AND id = ? AND turn = ?",
      this.owner,
      previous,
      this.start.base!.turn,
    ) !== null;
  }

  #takeItems({ thread, turn }: Position, output: readonly Item[]): void {
    const { db } = this.#parts;
    if (this.start.conversation === null) return;
    db.run(
      "UPDATE items SET turn = ? WHERE thread = ? AND turn IS NULL",
      turn,
      thread,
    );
    insertItems(db, { thread, turn, items: [...this.#input, ...output] });
  }

  #endResponse(
    body: ResponseBody,
    { thread, turn }: { thread: number | null; turn: number | null },
  ): void {
    const { db, now } = this.#parts;
    const { from, text } = this.events;
    db.run(
      `UPDATE responses SET body = ?, thread = ?, turn = ?, ended_at = ?, events_from = ?, events = ?
       WHERE owner = ? AND id = ?`,
      JSON.stringify(body),
      thread,
      turn,
      now(),
      from,
      text,
      this.owner,
      this.response,
    );
  }
}

function setupText({ model, policy }: Setup): string {
  return JSON.stringify({ model, policy });
}
