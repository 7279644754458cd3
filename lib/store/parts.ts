/** What the parts of a store share, and how they make sure that what they erased is gone. @module */
import type { Database } from "./database.ts";
import type { Snapshots } from "./snapshots.ts";
import type { UnderWay } from "./under_way.ts";

/** What the parts of a store share. */
export interface Parts {
  readonly db: Database;
  readonly snapshots: Snapshots;
  readonly underWay: UnderWay;
  /** Most UTF-16 units of a response's events that are kept. */
  readonly eventLength: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Comes after a deletion: removes what it has left in files, snapshots and the write-ahead log. */
export async function scrub({ db, snapshots }: Parts): Promise<void> {
  await snapshots.sweep();
  db.checkpoint();
}
