/**
 * Host memory for conversations that had to leave their slots: a bounded number of bytes, least
 * recently used conversations forgotten first.
 *
 * @module
 */
import type { Snapshot } from "../decoder/decoder.ts";

/** An idle conversation outside of any slot. */
export interface Swapped<Memory> {
  readonly memory: Memory;
  /** Its cache. */
  readonly snapshot: Snapshot;
}

/** Swapped conversations, in the order in which they were added. */
export class SwapStore<Memory> {
  /** Most bytes that all snapshots hold together. */
  readonly capacity: number;
  readonly #swapped = new Set<Swapped<Memory>>();
  #bytes = 0;

  /** @throws {RangeError} if `capacity` is negative or no number. */
  constructor(capacity: number) {
    if (!(capacity >= 0)) {
      throw new RangeError(
        `Cannot keep ${capacity} bytes of swapped conversations: give 0 (none) or more`,
      );
    }
    this.capacity = capacity;
  }

  /** Bytes that all snapshots hold together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The conversations, least recently added first. */
  [Symbol.iterator](): IterableIterator<Swapped<Memory>> {
    return this.#swapped.values();
  }

  /**
   * Keeps a conversation, forgetting as many of the least recently added as make room for it.
   *
   * @returns false if it alone is too large; nothing has changed then
   */
  add(swapped: Swapped<Memory>): boolean {
    if (swapped.snapshot.bytes > this.capacity) return false;
    for (const oldest of this.#swapped) {
      if (this.#bytes + swapped.snapshot.bytes <= this.capacity) break;
      this.delete(oldest);
    }
    this.#swapped.add(swapped);
    this.#bytes += swapped.snapshot.bytes;
    return true;
  }

  /** Forgets a conversation; says whether it was there. */
  delete(swapped: Swapped<Memory>): boolean {
    const found = this.#swapped.delete(swapped);
    if (found) this.#bytes -= swapped.snapshot.bytes;
    return found;
  }
}
