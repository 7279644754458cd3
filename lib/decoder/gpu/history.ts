/**
 * What brings a conversation back after its device was lost: a copy of its cache in host memory, and
 * the tokens since. A copy is taken anew whenever those have become as many as the cache holds, so
 * that what has to be computed again stays bounded, however long the conversation.
 *
 * @module
 */
import type { Snapshot } from "../decoder.ts";

/** A copy of a cache whose bytes may still be on their way. */
export interface GpuSnapshot extends Snapshot {
  readonly data: Promise<ArrayBuffer>;
  /** Of the slot it was taken from: rows for sinks and window, and their element type. */
  readonly layout: string;
}

/** One conversation's way back. */
export class History {
  #copy: GpuSnapshot | null;
  #tokens: number[] = [];
  #copying = false;

  /** @param copy where the conversation begins; `null` for a new one */
  constructor(copy: GpuSnapshot | null) {
    this.#copy = copy;
  }

  /** The latest copy. */
  get copy(): GpuSnapshot | null {
    return this.#copy;
  }

  /** Tokens since that copy. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Whether a later copy is on its way. */
  get copying(): boolean {
    return this.#copying;
  }

  append(tokens: readonly number[]): void {
    this.#tokens.push(...tokens);
  }

  /** Forgets all but the first `count` tokens; the decoder allows it only while none was overwritten. */
  rewind(count: number): void {
    const copied = this.#copy?.seen ?? 0;
    if (count >= copied) {
      this.#tokens = this.#tokens.slice(0, count - copied);
    } else {
      // Rows that the copy has beyond those are written over, or hidden.
      this.#copy = { ...this.#copy!, seen: count };
      this.#tokens = [];
    }
  }

  /** Begins at a later copy, once its bytes are there; until then the earlier one has to do. */
  async restart(copy: GpuSnapshot): Promise<void> {
    const since = this.#tokens;
    const covered = since.length;
    this.#copying = true;
    try {
      await copy.data;
      if (this.#tokens !== since) return; // rewound
      this.#copy = copy;
      this.#tokens = since.slice(covered);
    } catch {
      // The device was lost: the earlier copy and all tokens since are still here.
    } finally {
      this.#copying = false;
    }
  }
}
