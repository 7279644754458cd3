/**
 * Where each conversation lives: in its slot, or, when another needed that, in host memory. A
 * conversation that goes on finds its slot again or is brought back into one; any other gets a free
 * slot, else that of the conversation idle for longest.
 *
 * @module
 */
import type { Decoder } from "../decoder/decoder.ts";
import { type Kept, SnapshotStore } from "./snapshot_store.ts";

/** What is needed of a decoder: its slots, and their caches copied out and in. */
export type SlotStore = Pick<
  Decoder,
  "slots" | "slotBytes" | "save" | "restore" | "close"
>;

/** A slot that was taken, and the conversation in it. */
export interface Seat<Memory> {
  readonly slot: number;
  /** Whether the conversation was moved out of its slot meanwhile. */
  readonly swapped: boolean;
  /** Once it is in the slot; `null` if nothing in there is of use. It never rejects. */
  readonly memory: Promise<Memory | null>;
}

/** Bytes of caches: `active`, `idle` and `free` are all slots', `swapped` is host memory. */
export interface SlotBytes {
  readonly active: number;
  readonly idle: number;
  readonly free: number;
  readonly swapped: number;
}

/** An idle conversation in its slot. */
interface Resident<Memory> {
  readonly slot: number;
  readonly memory: Memory;
}

/** Slots by state: free, idle (it holds a conversation) or busy (taken). */
export class SlotTable<Memory> {
  readonly #store: SlotStore;
  readonly #free: Set<number>;
  /** Least recently used first. */
  readonly #idle = new Set<Resident<Memory>>();
  readonly #busy = new Set<number>();
  /** Least recently used first, as conversations are swapped out in that order. */
  readonly #swapped: SnapshotStore<Memory>;
  readonly #swaps = { out: 0, in: 0 };

  /**
   * @param swapBytes most bytes of swapped conversations; with 0, none is kept
   * @throws {RangeError} if that is negative or no number
   */
  constructor(store: SlotStore, swapBytes: number) {
    this.#store = store;
    this.#free = new Set(Array(store.slots).keys());
    this.#swapped = new SnapshotStore(swapBytes);
  }

  /** Slots that are taken. */
  get busy(): number {
    return this.#busy.size;
  }

  /** Whether all slots are taken. */
  get full(): boolean {
    return this.#busy.size === this.#store.slots;
  }

  get bytes(): SlotBytes {
    const { slotBytes } = this.#store;
    return {
      active: this.#busy.size * slotBytes,
      idle: this.#idle.size * slotBytes,
      free: this.#free.size * slotBytes,
      swapped: this.#swapped.bytes,
    };
  }

  /** Conversations moved to host memory, and back from there. */
  get swaps(): { readonly out: number; readonly in: number } {
    return { ...this.#swaps };
  }

  /**
   * Takes a slot, with the conversation that scores best and above 0 in it if there is one; nobody
   * sees that conversation until it is given back. The slot is taken when this returns, though the
   * conversation may still be on its way there.
   *
   * @throws {Error} if all slots are taken, and whatever `score` throws; nothing has changed then.
   */
  take(score: (memory: Memory) => number): Seat<Memory> {
    if (this.full) {
      throw new Error(
        `Cannot take a slot: all ${this.busy} are taken; give one back first`,
      );
    }
    const match = this.#choose(score);
    const slot = this.#claim(match);
    this.#busy.add(slot);
    const swapped = match !== null && !("slot" in match);
    return { slot, swapped, memory: this.#bring(match, slot) };
  }

  /**
   * A copy of the idle conversation that scores best and above 0; `null` if there is none. It stays
   * where it is.
   */
  copy(score: (memory: Memory) => number): Kept<Memory> | null {
    const found = this.#choose(score);
    if (!found || !("slot" in found)) return found;
    const { slot, memory } = found;
    return { memory, snapshot: this.#store.save(slot) };
  }

  /** Whether an idle conversation scores above 0. */
  has(score: (memory: Memory) => number): boolean {
    return this.#choose(score) !== null;
  }

  /** Gives a taken slot back, with the conversation in it; `null` frees it. */
  giveBack(slot: number, memory: Memory | null): void {
    this.#busy.delete(slot);
    if (memory !== null) {
      this.#idle.add({ slot, memory });
      return;
    }
    this.#store.close(slot);
    this.#free.add(slot);
  }

  /** The idle conversation that scores best; of equals, a resident one, then the latest used. */
  #choose(
    score: (memory: Memory) => number,
  ): Resident<Memory> | Kept<Memory> | null {
    let best: Resident<Memory> | Kept<Memory> | null = null;
    let bestScore = 0;
    for (const conversation of [...this.#swapped, ...this.#idle]) {
      const value = score(conversation.memory);
      if (value > 0 && value >= bestScore) {
        [best, bestScore] = [conversation, value];
      }
    }
    return best;
  }

  /** The slot in which a conversation is, or else will be. */
  #claim(match: Resident<Memory> | Kept<Memory> | null): number {
    if (match && "slot" in match) {
      this.#idle.delete(match);
      return match.slot;
    }
    // First, to make room for what is swapped out now; both are in host memory for a moment.
    if (match) this.#swapped.delete(match);
    return this.#vacate();
  }

  /** Puts a swapped conversation into its slot. */
  async #bring(
    match: Resident<Memory> | Kept<Memory> | null,
    slot: number,
  ): Promise<Memory | null> {
    if (!match || "slot" in match) return match?.memory ?? null;
    try {
      await this.#store.restore(slot, match.snapshot);
    } catch {
      return null; // its cache is computed again
    }
    this.#swaps.in++;
    return match.memory;
  }

  /** A free slot, else that of the conversation idle for longest, which is swapped out. */
  #vacate(): number {
    const free = nearest(this.#free, this.#busy);
    if (free !== undefined) {
      this.#free.delete(free);
      return free;
    }
    const [oldest] = this.#idle;
    this.#idle.delete(oldest!);
    this.#swapOut(oldest!);
    return oldest!.slot;
  }

  #swapOut({ slot, memory }: Resident<Memory>): void {
    if (this.#swapped.capacity === 0) return;
    try {
      const snapshot = this.#store.save(slot);
      if (this.#swapped.add({ memory, snapshot })) this.#swaps.out++;
    } catch {
      // The conversation is forgotten: whoever goes on with it pays for its prompt once more.
    }
  }
}

/** The free slot nearest to a busy one, as neighbours make cheaper batches; else the lowest. */
function nearest(
  free: Iterable<number>,
  busy: Iterable<number>,
): number | undefined {
  const others = [...busy];
  const distance = (slot: number) =>
    Math.min(
      Number.MAX_SAFE_INTEGER,
      ...others.map((other) => Math.abs(other - slot)),
    );
  return [...free].sort((a, b) => distance(a) - distance(b) || a - b)[0];
}
