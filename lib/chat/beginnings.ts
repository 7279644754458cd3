/**
 * Shared beginnings: many conversations open with the same system block, and each block is computed
 * once and then copied, bit for bit. Nothing is shared between owners: whether a block is there can
 * be told by how long an answer takes.
 *
 * @module
 */
import type { SinkWindow } from "../cache/sink_window.ts";
import type { Snapshot } from "../decoder/decoder.ts";

/** A claim to a beginning that nobody has computed: its holder does, for all who wait for it. */
export interface Claim {
  /** Hands over what was computed. */
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
  readonly #capacity: number;
  /** Least recently used first. */
  readonly #kept = new Map<string, Snapshot>();
  /** Beginnings that somebody computes right now: settled when that is over. */
  readonly #claimed = new Map<string, PromiseWithResolvers<void>>();
  #bytes = 0;
  #asked = 0;
  #found = 0;

  /** @param capacity most bytes that are kept */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Beginnings that were asked for, and those of them that did not have to be computed. */
  get counts(): { asked: number; found: number } {
    return { asked: this.#asked, found: this.#found };
  }

  /**
   * Finds a beginning, waiting for whoever computes it.
   *
   * @param of.text canonical text of the block
   * @throws the signal's reason
   */
  async find(
    of: { owner: string; policy: SinkWindow; text: string },
    signal: AbortSignal,
  ): Promise<Beginning> {
    const { owner, policy, text } = of;
    const key = JSON.stringify([owner, policy.sinks, policy.window, text]);
    this.#asked++;
    for (;;) {
      signal.throwIfAborted();
      const snapshot = this.#kept.get(key);
      if (snapshot) {
        this.#found++;
        this.#kept.delete(key); // it is the latest used now
        this.#kept.set(key, snapshot);
        return { snapshot };
      }
      const claimed = this.#claimed.get(key);
      if (!claimed) return { claim: this.#claim(key) };
      await settled(claimed.promise, signal);
    }
  }

  #claim(key: string): Claim {
    const over = Promise.withResolvers<void>();
    this.#claimed.set(key, over);
    const abandon = () => {
      if (this.#claimed.get(key) === over) this.#claimed.delete(key);
      over.resolve();
    };
    return {
      give: (snapshot) => {
        this.#keep(key, snapshot);
        abandon();
      },
      abandon,
    };
  }

  #keep(key: string, snapshot: Snapshot): void {
    if (snapshot.bytes > this.#capacity) return;
    this.#kept.set(key, snapshot);
    this.#bytes += snapshot.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= this.#capacity) break;
      this.#kept.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}

/** Waits for a promise that never fails, or until the signal is aborted. */
async function settled(
  promise: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const aborted = Promise.withResolvers<void>();
  const onAbort = () => aborted.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  await Promise.race([promise, aborted.promise]);
  signal.removeEventListener("abort", onAbort);
}
