/** Items of conversations, in order. @module */
import { type Page, pageOf, type PageRequest, seek } from "./page.ts";
import { type Parts, scrub } from "./parts.ts";
import { threadOf } from "./positions.ts";
import type { Item, Outcome } from "./records.ts";
import type { Database } from "./database.ts";

interface Row {
  thread: number;
  position: number;
  turn: number | null;
  body: string;
}

/** All conversations' items. */
export class Items {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Appends items, whose ids must be new in the conversation; the next turn takes them into the log. */
  add(owner: string, conversation: string, items: readonly Item[]): Outcome {
    const { db, underWay } = this.#parts;
    const thread = threadOf(db, owner, conversation);
    if (thread === null) return "missing";
    if (underWay.busy(thread)) return "busy";
    db.transaction(() => insertItems(db, { thread, turn: null, items }));
    return "done";
  }

  /** `null` if there is none. */
  read(owner: string, conversation: string, id: string): Item | null {
    const row = this.#row(owner, conversation, id);
    return row && JSON.parse(row.body);
  }

  /** `null` if there is no such conversation, or no item `after` in it. */
  list(
    owner: string,
    conversation: string,
    request: PageRequest,
  ): Page<Item> | null {
    const { db } = this.#parts;
    const thread = threadOf(db, owner, conversation);
    if (thread === null) return null;
    const { sql, start, limit } = seek("position", request);
    const from = request.after === undefined
      ? start
      : this.#row(owner, conversation, request.after)?.position;
    if (from === undefined) return null;
    const rows = db.all<Row>(
      `SELECT body FROM items WHERE thread = ? AND ${sql}`,
      thread,
      from,
      limit,
    );
    return pageOf(rows.map(({ body }) => JSON.parse(body)), request);
  }

  /**
   * Erases an item. If the token log holds it, the log is erased from that turn on: the next turn
   * takes the items that are left into it anew, and the responses of the erased turns cannot be
   * continued any more. What a response was made from, and its own copy of what it gave, stay with
   * the response.
   */
  async delete(
    owner: string,
    conversation: string,
    id: string,
  ): Promise<Outcome> {
    const { db, underWay } = this.#parts;
    const row = this.#row(owner, conversation, id);
    if (!row) return "missing";
    const { thread, position, turn } = row;
    if (underWay.busy(thread)) return "busy";
    db.transaction(() => {
      db.run(
        "DELETE FROM items WHERE thread = ? AND position = ?",
        thread,
        position,
      );
      db.run("DELETE FROM turns WHERE thread = ? AND id >= ?", thread, turn);
      db.run(
        `UPDATE threads SET setup = NULL
         WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM turns WHERE thread = ?1)`,
        thread,
      );
    });
    await scrub(this.#parts);
    return "done";
  }

  #row(owner: string, conversation: string, id: string): Row | null {
    return this.#parts.db.get<Row>(
      `SELECT thread, position, turn, body FROM items JOIN threads ON threads.id = thread
       WHERE owner = ? AND conversation = ? AND items.id = ?`,
      owner,
      conversation,
      id,
    );
  }
}

/** Appends items to a conversation; `turn`: the one whose log holds them. */
export function insertItems(
  db: Database,
  { thread, turn, items }: {
    thread: number;
    turn: number | null;
    items: readonly Item[];
  },
): void {
  for (const item of items) {
    db.run(
      `INSERT INTO items (thread, position, id, turn, body)
       SELECT ?1, (SELECT coalesce(max(position), 0) + 1 FROM items WHERE thread = ?1), ?2, ?3, ?4`,
      thread,
      item.id,
      turn,
      JSON.stringify(item),
    );
  }
}

/** The items of a conversation that its log does not hold yet. */
export function pendingItems(db: Database, thread: number): Item[] {
  return db.all<Row>(
    "SELECT body FROM items WHERE thread = ? AND turn IS NULL ORDER BY position",
    thread,
  ).map(({ body }) => JSON.parse(body));
}
