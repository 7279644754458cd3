/** Conversations: the threads that clients have a name for. @module */
import { type Page, pageOf, type PageRequest, seek } from "./page.ts";
import { type Parts, scrub } from "./parts.ts";
import { threadOf } from "./positions.ts";
import type { Conversation, Json } from "./records.ts";

interface Row {
  id: number;
  conversation: string;
  created_at: number;
  metadata: string;
}

const COLUMNS = "id, conversation, created_at, metadata";

/** All conversations, each owner's by themselves. */
export class Conversations {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Makes an empty conversation; its id must be new. */
  create(
    owner: string,
    { id, metadata }: { id: string; metadata: Json },
  ): Conversation {
    const { db, now } = this.#parts;
    const createdAt = Math.floor(now() / 1000);
    db.run(
      "INSERT INTO threads (owner, conversation, created_at, metadata) VALUES (?, ?, ?, ?)",
      owner,
      id,
      createdAt,
      JSON.stringify(metadata),
    );
    return { id, createdAt, metadata };
  }

  /** `null` if there is none. */
  read(owner: string, id: string): Conversation | null {
    const row = this.#parts.db.get<Row>(
      `SELECT ${COLUMNS} FROM threads WHERE owner = ? AND conversation = ?`,
      owner,
      id,
    );
    return row && conversationOf(row);
  }

  /** Replaces the metadata; `null` if there is no such conversation. */
  update(owner: string, id: string, metadata: Json): Conversation | null {
    this.#parts.db.run(
      "UPDATE threads SET metadata = ? WHERE owner = ? AND conversation = ?",
      JSON.stringify(metadata),
      owner,
      id,
    );
    return this.read(owner, id);
  }

  /** In the order in which they were made; `null` if there is no conversation `after`. */
  list(owner: string, request: PageRequest): Page<Conversation> | null {
    const { db } = this.#parts;
    const { sql, start, limit } = seek("id", request);
    const from = request.after === undefined
      ? start
      : threadOf(db, owner, request.after);
    if (from === null) return null;
    const rows = db.all<Row>(
      `SELECT ${COLUMNS} FROM threads
       WHERE owner = ? AND conversation IS NOT NULL AND ${sql}`,
      owner,
      from,
      limit,
    );
    return pageOf(rows.map(conversationOf), request);
  }

  /**
   * Erases a conversation: its items, its responses, its token log and its snapshots. A turn under
   * way comes to nothing. Chains that were branched from its responses are their own, and stay.
   */
  async delete(owner: string, id: string): Promise<"done" | "missing"> {
    const { db, underWay } = this.#parts;
    const thread = threadOf(db, owner, id);
    if (thread === null) return "missing";
    db.run("DELETE FROM threads WHERE id = ?", thread);
    underWay.revoke((turn) => turn.thread === thread);
    await scrub(this.#parts);
    return "done";
  }
}

function conversationOf(row: Row): Conversation {
  const { conversation: id, created_at: createdAt } = row;
  return { id, createdAt, metadata: JSON.parse(row.metadata) };
}
