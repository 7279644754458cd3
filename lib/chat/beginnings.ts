/**
 * Shared beginnings: many conversations open with the same system block, and each block is computed
 * once and then copied, bit for bit. Nothing is shared between owners: whether a block is there can
 * be told by how long an answer takes.
 *
 * @module
 */
import type { Policy } from "../cache/policy.ts";
import type { Snapshot } from "../decoder/decoder.ts";
import { SnapshotStore } from "../scheduler/snapshot_store.ts";

/** A claim to a beginning that nobody has computed: its holder does, for all who wait for it. */
export interface Claim {
  /** Hands over what was computed, to all who wait and to those who come later. */
  give(snapshot: Snapshot): void;
  /** Leaves it to the next who waits; after {@linkcode Claim.give} it does nothing. */
  abandon(): void;
}

/** The beginning's cache, or the task to compute it. */
export type Beginning = { readonly snapshot: Snapshot } | {
  readonly claim: Claim;
};

/** Copies of the beginnings used last, up to a number of bytes. */
export class Beginnings {
  /** By key; least recently used first. */
  readonly #kept: SnapshotStore<string>;
  /** Beginnings that somebody computes right now; `null` if it came to nothing. */
  readonly #claimed = new Map<string, PromiseWithResolvers<Snapshot | null>>();
  #asked = 0;
  #found = 0;

  /** @param capacity most bytes that are kept; with 0, nothing is shared */
  constructor(capacity: number) {
    this.#kept = new SnapshotStore(capacity);
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#kept.bytes;
  }

  /** Beginnings that were asked for, and those of them that did not have to be computed. */
  get counts(): { asked: number; found: number } {
    return { asked: this.#asked, found: this.#found };
  }

  /**
   * Finds a beginning, waiting for whoever computes it; `null` if nothing is shared.
   *
   * @param of.text canonical text of the block
   * @throws the signal's reason
   */
  async find(
    of: { owner: string; policy: Policy; text: string },
    signal: AbortSignal,
  ): Promise<Beginning | null> {
    this.#asked++;
    if (this.#kept.capacity === 0) return null;
    const { owner, policy: { name, rows, evict, kvBits }, text } = of;
    const kept = [name, rows.sinks, rows.window, evict, kvBits];
    const key = JSON.stringify([owner, kept, text]);
    for (;;) {
      const claimed = this.#claimed.get(key);
      const snapshot = claimed
        ? await unlessAborted(claimed.promise, signal)
        : this.#recall(key);
      if (snapshot) {
        this.#found++;
        return { snapshot };
      }
      if (!claimed) return { claim: this.#claim(key) };
    }
  }

  /** A kept beginning, which is the latest used then. */
  #recall(key: string): Snapshot | null {
    for (const kept of this.#kept) {
      if (kept.memory !== key) continue;
      this.#kept.delete(kept);
      this.#kept.add(kept);
      return kept.snapshot;
    }
    return null;
  }

  #claim(key: string): Claim {
    const claimed = Promise.withResolvers<Snapshot | null>();
    this.#claimed.set(key, claimed);
    const settle = (snapshot: Snapshot | null) => {
      if (this.#claimed.get(key) === claimed) this.#claimed.delete(key);
      claimed.resolve(snapshot);
    };
    return {
      give: (snapshot) => {
        this.#kept.add({ memory: key, snapshot });
        settle(snapshot);
      },
      abandon: () => settle(null),
    };
  }
}

/**
 * Waits for a promise that never fails.
 *
 * @throws the signal's reason if it is aborted before
 */
async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
