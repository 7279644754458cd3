/** Finding places in token logs. @module */
import type { Database } from "./database.ts";
import type { Position } from "./records.ts";

/** The columns of `turns` that make a {@linkcode Position}. */
export const POSITION =
  "turns.thread, turns.id AS turn, turns.number, turns.ends AS tokens";

/** The end of a turn; `null` if there is no such turn of this owner's. */
export function positionOf(
  db: Database,
  owner: string,
  turn: number,
): Position | null {
  return db.get<Position>(
    `SELECT ${POSITION} FROM turns JOIN threads ON threads.id = turns.thread
     WHERE owner = ? AND turns.id = ?`,
    owner,
    turn,
  );
}

/** The end of a thread; `null` if it has no turn. */
export function headOf(db: Database, thread: number): Position | null {
  return db.get<Position>(
    `SELECT ${POSITION} FROM turns WHERE thread = ? ORDER BY number DESC LIMIT 1`,
    thread,
  );
}

/** The thread of a conversation; `null` if there is no such conversation of this owner's. */
export function threadOf(
  db: Database,
  owner: string,
  conversation: string,
): number | null {
  return db.get<{ id: number }>(
    "SELECT id FROM threads WHERE owner = ? AND conversation = ?",
    owner,
    conversation,
  )?.id ?? null;
}
