/** Responses, with what they were made from and the events of their streams. @module */
import { EventLog } from "./event_log.ts";
import { type Page, pageOf, type PageRequest, seek } from "./page.ts";
import { type Parts, scrub } from "./parts.ts";
import { positionOf } from "./positions.ts";
import type { Item, StoredResponse, StreamEvent } from "./records.ts";
import { KEPT_MS } from "./turns.ts";

interface Row {
  thread: number | null;
  turn: number | null;
  conversation: string | null;
  body: string;
}

/** All responses: a turn's beginning makes them, its end completes them. */
export class Responses {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `null` if there is none. */
  read(owner: string, id: string): StoredResponse | null {
    const row = this.#row(owner, id);
    if (!row) return null;
    const { turn, conversation, body } = row;
    const position = turn === null
      ? null
      : positionOf(this.#parts.db, owner, turn);
    return { body: JSON.parse(body), conversation, position };
  }

  /** What the response was asked for with; `null` if there is no such response, or no item `after`. */
  input(owner: string, id: string, request: PageRequest): Page<Item> | null {
    const { db } = this.#parts;
    if (!this.#row(owner, id)) return null;
    const { sql, start, limit } = seek("key", request);
    const items =
      "FROM responses, json_each(input) WHERE owner = ? AND responses.id = ?";
    const from = request.after === undefined ? start : db.get<{ key: number }>(
      `SELECT key ${items} AND value ->> 'id' = ?`,
      owner,
      id,
      request.after,
    )?.key;
    if (from === undefined) return null;
    const rows = db.all<{ value: string }>(
      `SELECT value ${items} AND ${sql}`,
      owner,
      id,
      from,
      limit,
    );
    return pageOf(rows.map(({ value }) => JSON.parse(value)), request);
  }

  /**
   * The events of a response's stream after number `after` (-1: all), and those to come while it is
   * under way; `null` if there is no such response, or none of its events is kept: it was not
   * streamed, or that was over a day ago.
   *
   * The generator throws a `RangeError` if it comes to an event that is not kept any more, and a
   * `GoneError` if the response is deleted. Its `return()` ends it at once.
   */
  events(
    owner: string,
    id: string,
    after: number,
  ): AsyncGenerator<StreamEvent, void, void> | null {
    const { db, underWay, now } = this.#parts;
    const turn = underWay.of(owner, id);
    if (turn) return turn.events.follow(after);
    const row = db.get<{ events_from: number; events: string }>(
      `SELECT events_from, events FROM responses
       WHERE owner = ? AND id = ? AND events IS NOT NULL AND ended_at >= ?`,
      owner,
      id,
      now() - KEPT_MS,
    );
    return row && EventLog.ended(row.events_from, row.events).follow(after);
  }

  /**
   * Erases a response with its input and events. Under way, it comes to nothing.
   *
   * The items and the log of a conversation stay as they are. The log of a chain is erased behind
   * its last response that is left: what others continue from goes with the last of them.
   */
  async delete(owner: string, id: string): Promise<"done" | "missing"> {
    const { db, underWay } = this.#parts;
    const row = this.#row(owner, id);
    if (!row) return "missing";
    db.transaction(() => {
      db.run("DELETE FROM responses WHERE owner = ? AND id = ?", owner, id);
      if (row.thread !== null && row.conversation === null) {
        this.#shorten(row.thread);
      }
    });
    underWay.revoke((turn) => turn.owner === owner && turn.response === id);
    await scrub(this.#parts);
    return "done";
  }

  #shorten(thread: number): void {
    const { db } = this.#parts;
    db.run(
      `DELETE FROM turns WHERE thread = ?1 AND id >
         (SELECT coalesce(max(turn), 0) FROM responses WHERE thread = ?1)`,
      thread,
    );
    db.run(
      `DELETE FROM threads
       WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM turns WHERE thread = ?1)`,
      thread,
    );
  }

  #row(owner: string, id: string): Row | null {
    return this.#parts.db.get<Row>(
      `SELECT thread, turn, conversation, body
       FROM responses LEFT JOIN threads ON threads.id = thread
       WHERE responses.owner = ? AND responses.id = ?`,
      owner,
      id,
    );
  }
}
