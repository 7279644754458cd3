/**
 * Host memory for caches outside of slots: a bounded number of bytes, least recently added ones
 * forgotten first.
 *
 * @module
 */
import type { Snapshot } from "../decoder/decoder.ts";

/** A cache outside of any slot. */
export interface Kept<Memory> {
  /** What it is the cache of. */
  readonly memory: Memory;
  readonly snapshot: Snapshot;
}

/** Snapshots, in the order in which they were added. */
export class SnapshotStore<Memory> {
  /** Most bytes that all snapshots hold together. */
  readonly capacity: number;
  readonly #kept = new Set<Kept<Memory>>();
  #bytes = 0;

  /** @throws {RangeError} if `capacity` is negative or no number. */
  constructor(capacity: number) {
    if (!(capacity >= 0)) {
      throw new RangeError(
        `Cannot keep ${capacity} bytes of snapshots: give 0 (none) or more`,
      );
    }
    this.capacity = capacity;
  }

  /** Bytes that all snapshots hold together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The snapshots, least recently added first. */
  [Symbol.iterator](): IterableIterator<Kept<Memory>> {
    return this.#kept.values();
  }

  /**
   * Keeps a snapshot, forgetting as many of the least recently added as make room for it.
   *
   * @returns false if it alone is too large; nothing has changed then
   */
  add(kept: Kept<Memory>): boolean {
    if (kept.snapshot.bytes > this.capacity) return false;
    for (const oldest of this.#kept) {
      if (this.#bytes + kept.snapshot.bytes <= this.capacity) break;
      this.delete(oldest);
    }
    this.#kept.add(kept);
    this.#bytes += kept.snapshot.bytes;
    return true;
  }

  /** Forgets a snapshot; says whether it was there. */
  delete(kept: Kept<Memory>): boolean {
    const found = this.#kept.delete(kept);
    if (found) this.#bytes -= kept.snapshot.bytes;
    return found;
  }
}
