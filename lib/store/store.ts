/**
 * What lasts of conversations: their items, responses, token logs and snapshots of caches.
 *
 * The token log is the truth: it grows by whole turns, each committed with its items and its
 * response at once, so that a process that is killed at any moment leaves all turns that it has
 * committed and no half ones. Everything belongs to one owner, whom every call names; nobody finds
 * another's.
 *
 * There is one implementation, SQLite; without a directory it lives in memory and ends with the
 * process. It needs Deno's permission to read and write the directory, and in memory none.
 *
 * @module
 */
import { join } from "node:path";
import { BlobDirectory, BlobMap } from "./blobs.ts";
import { Conversations } from "./conversations.ts";
import { Database, IN_MEMORY } from "./database.ts";
import { Items } from "./items.ts";
import { Responses } from "./responses.ts";
import { Snapshots } from "./snapshots.ts";
import { Turns } from "./turns.ts";
import { UnderWay } from "./under_way.ts";

/** Options of {@linkcode openStore}. */
export interface StoreOptions {
  /** Most bytes that all snapshots take together. */
  readonly snapshotBytes: number;
  /** Most UTF-16 units of a response's events that are kept. Default: 4 Mi. */
  readonly eventLength?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** An open store. */
export interface Store {
  readonly conversations: Conversations;
  readonly items: Items;
  readonly responses: Responses;
  readonly turns: Turns;
  readonly snapshots: Snapshots;
  /** Ends it, once snapshots that are being written are; nothing committed depends on this. */
  close(): Promise<void>;
}

/**
 * Opens the store in `directory`, making it (for this user alone) if it is not there; `null`: a new
 * one in memory. Responses that were in progress when the process before ended have failed then.
 *
 * @throws {Error} that says why, if another process has it open, it is damaged, or a later version
 * made it
 *
 * @example A conversation's first turn
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { openStore } from "./store.ts";
 *
 * const store = await openStore(null, { snapshotBytes: 0 });
 * store.conversations.create("ada", { id: "conv_1", metadata: {} });
 * const begun = store.turns.begin("ada", {
 *   body: { id: "resp_1", status: "in_progress" },
 *   input: [{ id: "msg_1", text: "Hello" }],
 *   continues: { conversation: "conv_1" },
 * });
 * assert(begun.outcome === "begun");
 * const position = begun.turn.commit({
 *   body: { id: "resp_1", status: "completed" },
 *   output: [{ id: "msg_2", text: "Hello!" }],
 *   tokens: Uint32Array.of(1, 2, 3),
 *   boundaries: [2],
 *   setup: { model: "5a3c", policy: { name: "sink-window" } },
 * });
 * assertEquals(position.tokens, 3);
 * const log = store.turns.log("ada", position.turn)!;
 * assertEquals(log.turns, [{ tokens: Uint32Array.of(1, 2, 3), boundaries: [2] }]);
 * assertEquals(store.turns.log("bob", position.turn), null);
 * await store.close();
 * ```
 */
export async function openStore(
  directory: string | null,
  options: StoreOptions,
): Promise<Store> {
  const { snapshotBytes, eventLength = 1 << 22, now = Date.now } = options;
  if (directory !== null) {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }
  const db = new Database(
    directory === null ? IN_MEMORY : join(directory, "everstream.db"),
  );
  const blobs = directory === null
    ? new BlobMap()
    : new BlobDirectory(join(directory, "snapshots"));
  const snapshots = new Snapshots(db, blobs, snapshotBytes);
  const parts = { db, snapshots, underWay: new UnderWay(), eventLength, now };
  const turns = new Turns(parts);
  turns.failInterrupted();
  await snapshots.sweep();
  return {
    conversations: new Conversations(parts),
    items: new Items(parts),
    responses: new Responses(parts),
    turns,
    snapshots,
    async close() {
      await snapshots.idle();
      db.close();
    },
  };
}
