/** Who is in which slot and how far, for every decoder: numbers alone, no caches. @module */
import { appended, type Held, rewound, withStarts } from "../cache/held.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import type { DecodeChunk, TokenChunk } from "./decoder.ts";

/** Room of a slot, and how long its chunks may be. */
export interface SlotBounds {
  readonly slots: number;
  /** Most sinks, and rows of the window. */
  readonly room: { readonly sinks: number; readonly window: number };
  /** Rows for the latest tokens behind the sinks, beside the window's; none if nothing is said. */
  readonly tailRows?: number;
  /** Most tokens of a conversation's next chunk. */
  limit(held: Held): number;
}

/** Slots of one decoder. */
export class SlotBook {
  readonly #bounds: SlotBounds;
  readonly #held: (Held | null)[];

  constructor(bounds: SlotBounds) {
    this.#bounds = bounds;
    this.#held = Array(bounds.slots).fill(null);
  }

  /**
   * Puts a conversation into a slot in place of whatever was there.
   *
   * @throws {RangeError} if there is no such slot or the policy does not fit it.
   */
  put(slot: number, held: Held): void {
    this.at(slot);
    this.checkRoom(held.policy);
    this.#held[slot] = held;
  }

  /** Forgets the conversation in a slot. */
  clear(slot: number): void {
    this.at(slot);
    this.#held[slot] = null;
  }

  /** The conversation in a slot, `null` if none was opened. */
  at(slot: number): Held | null {
    const held = this.#held[slot];
    if (held === undefined) {
      throw new RangeError(
        `Cannot use slot ${slot}: there are ${this.#bounds.slots}`,
      );
    }
    return held;
  }

  /** @throws {RangeError} if the slot is not open. */
  opened(slot: number): Held {
    const held = this.at(slot);
    if (!held) {
      throw new RangeError(`Cannot use slot ${slot}: it is not open`);
    }
    return held;
  }

  /** A slot's conversation as a chunk finds it, told which of the chunk's tokens begin messages. */
  before({ slot, starts }: Pick<TokenChunk, "slot" | "starts">): Held {
    return withStarts(this.opened(slot), starts);
  }

  /** Counts the tokens of a chunk that was appended. */
  append(chunk: TokenChunk): void {
    this.#held[chunk.slot] = appended(this.before(chunk), chunk.tokens.length);
  }

  /** Whether nothing of a conversation that has seen so many tokens has been overwritten. */
  rewindable(policy: SinkWindow, seen: number): boolean {
    return seen <= this.#unchanged(policy);
  }

  /**
   * Forgets all but the first `count` tokens.
   *
   * @throws {RangeError} if there are not as many, or some row has been overwritten.
   */
  rewind(slot: number, count: number): void {
    const held = this.at(slot);
    const [seen, most] = held
      ? [held.seen, this.#unchanged(held.policy)]
      : [0, 0];
    const whole = Number.isInteger(count) && count >= 0 && count <= seen;
    if (!held || !whole || (count < seen && seen > most)) {
      throw new RangeError(
        `Cannot rewind slot ${slot} to ${count} tokens: it has seen ${seen} and ` +
          `keeps all of them only up to ${most}`,
      );
    }
    this.#held[slot] = rewound(held, count);
  }

  /** Most tokens of a slot's next chunk. */
  limit(slot: number): number {
    return this.#bounds.limit(this.opened(slot));
  }

  /** @throws {RangeError} unless all chunks can be appended in one call. */
  check(chunks: readonly DecodeChunk[]): void {
    const slots = new Set<number>();
    for (const { slot, tokens, logits, starts = [] } of chunks) {
      const limit = this.limit(slot);
      if (slots.has(slot)) {
        throw new RangeError(`Cannot append to slot ${slot} twice in one run`);
      }
      slots.add(slot);
      if (tokens.length < 1 || tokens.length > limit) {
        throw new RangeError(
          `Cannot append ${tokens.length} tokens to slot ${slot}: 1 to ${limit} fit one run`,
        );
      }
      if (!Number.isInteger(logits) || logits < 0 || logits > tokens.length) {
        throw new RangeError(
          `Cannot give logits of ${logits} tokens of ${tokens.length}`,
        );
      }
      if (
        !starts.every((start, i) =>
          start > (starts[i - 1] ?? -1) && start < tokens.length &&
          Number.isInteger(start)
        )
      ) {
        throw new RangeError(
          `Cannot begin messages at tokens ${starts} of ${tokens.length}: ` +
            "give ascending indexes of the chunk's tokens",
        );
      }
    }
  }

  /** Tokens before the first that overwrites a row, of the window or of the tail. */
  #unchanged({ sinks, window }: SinkWindow): number {
    const { tailRows = 0 } = this.#bounds;
    return sinks + (tailRows > 0 ? Math.min(window, tailRows) : window);
  }

  /** @throws {RangeError} if a policy needs more rows than a slot has. */
  checkRoom(policy: SinkWindow): void {
    const { sinks, window } = this.#bounds.room;
    if (policy.sinks > sinks || policy.window > window) {
      throw new RangeError(
        `Cannot keep ${policy.sinks} sinks and a window of ${policy.window} tokens: ` +
          `a slot has room for ${sinks} and ${window}`,
      );
    }
  }
}
