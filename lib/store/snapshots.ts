/**
 * Copies of caches at the ends of turns, so that a conversation goes on without computing its log
 * again. They can always be computed anew: they are written behind the turn, checked when read, and
 * forgotten when there is no room.
 *
 * @module
 */
import type { Blobs } from "./blobs.ts";
import type { Database } from "./database.ts";
import { POSITION, positionOf } from "./positions.ts";
import type { Position } from "./records.ts";

/** What a copy fits: a cache of the same model, policy and precision. */
export interface SnapshotKey {
  /** Hash of the model. */
  readonly model: string;
  readonly policy: string;
  /** What its rows hold: `f32`, `f16`, … and of which layout. */
  readonly precision: string;
}

/** What became of snapshots since the store was opened. */
export interface SnapshotCounts {
  readonly written: number;
  /** Forgotten where there was no room. */
  readonly pruned: number;
  /** Could not be written. */
  readonly failed: number;
  /** Were not what was written when they were read. */
  readonly damaged: number;
}

/** A cache outside of memory. */
export interface Snapshot {
  /** The end of the turn that it was copied at. */
  readonly position: Position;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Snapshots of all threads, up to a number of bytes. */
export class Snapshots {
  /** Most bytes that all snapshots take together. */
  readonly capacity: number;
  readonly #db: Database;
  readonly #blobs: Blobs;
  readonly #counts = { written: 0, pruned: 0, failed: 0, damaged: 0 };
  #last: Promise<unknown> = Promise.resolve();

  constructor(db: Database, blobs: Blobs, capacity: number) {
    this.#db = db;
    this.#blobs = blobs;
    this.capacity = capacity;
  }

  /** Bytes that all snapshots take together. */
  get bytes(): number {
    return this.#db.get<{ bytes: number }>(
      "SELECT coalesce(sum(bytes), 0) AS bytes FROM snapshots",
    )!.bytes;
  }

  /** What became of them since the store was opened. */
  get counts(): SnapshotCounts {
    return { ...this.#counts };
  }

  /**
   * Keeps the cache as it was at the end of a turn, and forgets others where there is no room: first
   * those that are not the latest of their thread, each time the one that was used longest ago.
   *
   * @returns false if it was not kept: it alone is too large, or the turn was deleted
   */
  save(
    owner: string,
    turn: number,
    snapshot: { key: SnapshotKey; bytes: Uint8Array<ArrayBuffer> },
  ): Promise<boolean> {
    return this.#next(async () => {
      const position = positionOf(this.#db, owner, turn);
      if (!position || snapshot.bytes.length > this.capacity) return false;
      try {
        const kept = await this.#write(position, snapshot);
        if (kept) this.#counts.written++;
        return kept;
      } catch (error) {
        this.#counts.failed++;
        throw error;
      }
    });
  }

  /**
   * The latest snapshot of a turn's thread, at the turn's end or before; `null` if there is none
   * that fits. One that is not what was written is deleted and counts as absent.
   */
  load(
    owner: string,
    turn: number,
    key: SnapshotKey,
  ): Promise<Snapshot | null> {
    return this.#next(async () => {
      for (;;) {
        const found = this.#latest(owner, turn, key);
        if (!found) return null;
        const { sha256, ...position } = found;
        const bytes = await this.#blobs.read(`${position.turn}`);
        if (bytes && await digest(bytes) === sha256) {
          this.#db.run(
            `UPDATE snapshots SET used = (SELECT max(used) + 1 FROM snapshots) WHERE turn = ?`,
            position.turn,
          );
          return { position, bytes };
        }
        this.#counts.damaged++;
        await this.#forget(position.turn);
      }
    });
  }

  /** Removes bytes whose turn was deleted or whose writing was cut off, and entries without bytes. */
  sweep(): Promise<void> {
    return this.#next(async () => {
      const known = new Set(
        this.#db.all<{ name: string }>(
          "SELECT cast(turn AS TEXT) AS name FROM snapshots",
        ).map(({ name }) => name),
      );
      const names = new Set(await this.#blobs.names());
      for (const name of names.difference(known)) {
        await this.#blobs.remove(name);
      }
      for (const name of known.difference(names)) {
        await this.#forget(Number(name));
      }
    });
  }

  /** Waits for what is being written. */
  async idle(): Promise<void> {
    await this.#last;
  }

  /** Does one thing after the other: none sees another's file half-way. */
  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #write(
    position: Position,
    { key, bytes }: { key: SnapshotKey; bytes: Uint8Array<ArrayBuffer> },
  ): Promise<boolean> {
    const { turn } = position;
    await this.#forget(turn);
    await this.#makeRoom(bytes.length, position);
    const sha256 = await digest(bytes);
    await this.#blobs.write(`${turn}`, bytes);
    const { changes } = this.#db.run(
      `INSERT INTO snapshots
       SELECT id, thread, ?, ?, ?, (SELECT coalesce(max(used), 0) + 1 FROM snapshots)
       FROM turns WHERE id = ?`,
      keyText(key),
      bytes.length,
      sha256,
      turn,
    );
    // Deleted meanwhile: the deletion's own sweep comes next, and removes the bytes.
    return changes > 0;
  }

  #latest(
    owner: string,
    turn: number,
    key: SnapshotKey,
  ): (Position & { sha256: string }) | null {
    const position = positionOf(this.#db, owner, turn);
    return position && this.#db.get<Position & { sha256: string }>(
      `SELECT ${POSITION}, sha256 FROM snapshots JOIN turns ON turns.id = snapshots.turn
       WHERE snapshots.thread = ? AND snapshots.turn <= ? AND key = ?
       ORDER BY snapshots.turn DESC LIMIT 1`,
      position.thread,
      turn,
      keyText(key),
    );
  }

  async #makeRoom(bytes: number, { thread, turn }: Position): Promise<void> {
    while (this.bytes + bytes > this.capacity) {
      const { victim } = this.#db.get<{ victim: number }>(
        `SELECT turn AS victim FROM snapshots AS kept
         ORDER BY NOT ((thread = ? AND turn < ?) OR EXISTS (
           SELECT 1 FROM snapshots WHERE thread = kept.thread AND turn > kept.turn
         )), used LIMIT 1`,
        thread,
        turn,
      )!;
      this.#counts.pruned++;
      await this.#forget(victim);
    }
  }

  async #forget(turn: number): Promise<void> {
    this.#db.run("DELETE FROM snapshots WHERE turn = ?", turn);
    await this.#blobs.remove(`${turn}`);
  }
}

function keyText({ model, policy, precision }: SnapshotKey): string {
  return JSON.stringify([model, policy, precision]);
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
