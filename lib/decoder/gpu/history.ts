/**
 * What brings a conversation back after its device was lost: a copy of its cache in host memory, and
 * the tokens since. A copy is taken anew whenever those have become as many as the cache holds, so
 * that what has to be computed again stays bounded, however long the conversation.
 *
 * @module
 */
import { type Held, rewound } from "../../cache/held.ts";
import type { Snapshot } from "../decoder.ts";

/** How a conversation can be computed again. */
export interface Way {
  /** Where it begins, with all bytes there; `null` for the first token. */
  readonly copy: GpuSnapshot | null;
  /** Tokens since. */
  readonly tokens: readonly number[];
  /** Positions among those at which messages begin, ascending. */
  readonly boundaries: readonly number[];
}

/** A copy of a cache whose bytes may still be on their way. */
export interface GpuSnapshot extends Snapshot, Held {
  /** For each layer keys, then values, `[heads, rows, width]`. */
  readonly data: Promise<ArrayBuffer>;
  /** Rows of each head in there. */
  readonly rows: number;
  /** Of the slot it was taken from: rows for sinks and window, and their element type. */
  readonly layout: string;
  /** What to do if the bytes never arrive; `null` once they are there. */
  readonly way: Way | null;
}

/** A copy that can be computed again until its bytes are there. */
export function snapshotOf(
  of: Omit<GpuSnapshot, "way"> & { readonly way: Way },
): GpuSnapshot {
  const snapshot: Omit<GpuSnapshot, "way"> & { way: Way | null } = { ...of };
  snapshot.data.then(() => snapshot.way = null, () => {});
  return snapshot;
}

/** One conversation's way back. */
export class History {
  #copy: GpuSnapshot | null;
  #tokens: number[];
  #boundaries: readonly number[];
  #copying = false;

  /**
   * @param copy where the conversation begins; `null` for a new one
   * @param since what came behind it
   */
  constructor(
    copy: GpuSnapshot | null,
    since: Omit<Way, "copy"> = { tokens: [], boundaries: [] },
  ) {
    this.#copy = copy;
    this.#tokens = [...since.tokens];
    this.#boundaries = since.boundaries;
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

  /** The way as it is now, whatever comes. */
  get way(): Way {
    return {
      copy: this.#copy,
      tokens: [...this.#tokens],
      boundaries: this.#boundaries,
    };
  }

  /** @param starts which of the tokens, by index, begin messages */
  append(tokens: readonly number[], starts: readonly number[] = []): void {
    const seen = this.#copied + this.#tokens.length;
    this.#tokens.push(...tokens);
    if (starts.length === 0) return;
    const more = starts.map((index) => seen + index);
    this.#boundaries = [...this.#boundaries, ...more];
  }

  /** Forgets all but the first `count` tokens; the decoder allows it only while none was overwritten. */
  rewind(count: number): void {
    this.#boundaries = this.#boundaries.filter((position) => position < count);
    if (count >= this.#copied) {
      this.#tokens = this.#tokens.slice(0, count - this.#copied);
    } else {
      // Rows that the copy has beyond those are left out when it is put into a slot.
      this.#copy = { ...this.#copy!, ...rewound(this.#copy!, count) };
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
      this.#boundaries = this.#boundaries.filter((position) =>
        position >= copy.seen
      );
    } catch {
      // The device was lost: the earlier copy and all tokens since are still here.
    } finally {
      this.#copying = false;
    }
  }

  /** Tokens in the copy. */
  get #copied(): number {
    return this.#copy?.seen ?? 0;
  }
}
