/**
 * `window-recompute` on any decoder: a slot whose policy is a {@linkcode RecomputedWindow} is given the
 * last tokens anew whenever its window begins elsewhere. Other slots are left to the decoder.
 *
 * What such a slot's conversation is, is its last W token ids; the rows in the decoder's slot are only
 * what was computed last, of use as long as the window begins where it did: below W tokens, and with
 * windows that begin at messages until one of those leaves. Tokens whose logits nobody asks for are not
 * computed past W at all.
 *
 * @module
 */
import { type Held, nothingHeld } from "../cache/held.ts";
import { RecomputedWindow } from "../cache/recomputed_window.ts";
import { SinkWindow } from "../cache/sink_window.ts";
import type { GpuBytes } from "../engine/gpu_ledger.ts";
import type { Sample } from "../sampling/mod.ts";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
  Snapshot,
} from "./decoder.ts";
import { SlotBook } from "./slot_book.ts";

/** Tokens that follow one another in a conversation. */
interface Stretch {
  /** Position of the first. */
  readonly from: number;
  readonly tokens: readonly number[];
}

/** A conversation whose window is recomputed. */
interface Conversation {
  /** The last W tokens, or all. */
  readonly last: Stretch;
  /** What the decoder's slot holds, as its only tokens. */
  readonly inside: Stretch;
}

/** Such a conversation outside of any slot. */
interface RecomputedSnapshot extends Snapshot, Held {
  readonly policy: RecomputedWindow;
  readonly conversation: Conversation;
  /** The decoder's slot; `null` if nothing in there is of use. */
  readonly copy: Snapshot | null;
}

/** What one more run of the decoder lacks. */
interface Prepared {
  /** Logits of the chunk's earlier tokens. */
  readonly logits: readonly Float32Array[];
  /** What is left to run; `null` if nothing has to be. */
  readonly rest: DecodeChunk | null;
  /** Takes over what was run. */
  commit(): void;
}

const NOTHING: Stretch = { from: 0, tokens: [] };

/** A decoder that recomputes windows, too. */
export class RecomputingDecoder implements Decoder {
  readonly #decoder: Decoder;
  /** Of the slots in `#conversations`. */
  readonly #book: SlotBook;
  readonly #conversations = new Map<number, Conversation>();

  /** @param decoder nobody else may use it */
  constructor(decoder: Decoder) {
    this.#decoder = decoder;
    const { slots, room, chunk } = decoder;
    this.#book = new SlotBook({ slots, room, limit: () => chunk });
  }

  get vocabulary(): number {
    return this.#decoder.vocabulary;
  }

  get slots(): number {
    return this.#decoder.slots;
  }

  get chunk(): number {
    return this.#decoder.chunk;
  }

  get room(): { readonly sinks: number; readonly window: number } {
    return this.#decoder.room;
  }

  get slotBytes(): number {
    return this.#decoder.slotBytes;
  }

  get tokenBytes(): number {
    return this.#decoder.tokenBytes;
  }

  get cacheBytes(): number {
    return this.#decoder.cacheBytes;
  }

  get gpuBytes(): GpuBytes | null {
    return this.#decoder.gpuBytes;
  }

  open(slot: number, policy: SinkWindow): void {
    if (!(policy instanceof RecomputedWindow)) {
      this.#decoder.open(slot, policy);
      this.#conversations.delete(slot);
      return;
    }
    this.#book.put(slot, nothingHeld(policy));
    this.#clear(slot, policy);
    this.#conversations.set(slot, { last: NOTHING, inside: NOTHING });
  }

  close(slot: number): void {
    if (this.#conversations.delete(slot)) this.#book.clear(slot);
    this.#decoder.close(slot);
  }

  seen(slot: number): number {
    return this.#conversations.has(slot)
      ? this.#book.opened(slot).seen
      : this.#decoder.seen(slot);
  }

  lazyLayers(slot: number): readonly number[] {
    return this.#decoder.lazyLayers(slot);
  }

  rewindable(policy: SinkWindow, seen: number): boolean {
    return policy instanceof RecomputedWindow
      ? this.#book.rewindable(policy, seen)
      : this.#decoder.rewindable(policy, seen);
  }

  rewind(slot: number, count: number): void {
    const conversation = this.#conversations.get(slot);
    if (!conversation) return this.#decoder.rewind(slot, count);
    this.#book.rewind(slot, count);
    const { from, tokens } = conversation.last;
    const last = { from, tokens: tokens.slice(0, count - from) };
    this.#conversations.set(slot, { ...conversation, last });
  }

  limit(slot: number): number {
    return this.#conversations.has(slot)
      ? this.#book.limit(slot)
      : this.#decoder.limit(slot);
  }

  save(slot: number): Snapshot {
    const conversation = this.#conversations.get(slot);
    if (!conversation) return this.#decoder.save(slot);
    const held = this.#book.opened(slot);
    const { policy, seen, boundaries } = held;
    const { last } = conversation;
    const ofUse = conversation.inside.from === policy.oldest(seen, boundaries);
    const copy = ofUse ? this.#decoder.save(slot) : null;
    const inside = ofUse ? conversation.inside : NOTHING;
    const ids = last.tokens.length + inside.tokens.length;
    const snapshot: RecomputedSnapshot = {
      ...held,
      policy: policy as RecomputedWindow,
      conversation: { last, inside },
      copy,
      bytes: ids * Float64Array.BYTES_PER_ELEMENT + (copy?.bytes ?? 0),
    };
    return snapshot;
  }

  async restore(slot: number, snapshot: Snapshot): Promise<void> {
    if (!(snapshot.policy instanceof RecomputedWindow)) {
      await this.#decoder.restore(slot, snapshot);
      this.#conversations.delete(slot);
      return;
    }
    const of = snapshot as RecomputedSnapshot;
    const { policy, seen, boundaries, conversation, copy } = of;
    this.#book.checkRoom(policy);
    if (copy) await this.#decoder.restore(slot, copy);
    else this.#clear(slot, policy);
    this.#book.put(slot, { policy, seen, boundaries });
    this.#conversations.set(slot, conversation);
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    const prepared = await this.#prepare(chunks);
    const rest = prepared.flatMap(({ rest }) => rest ?? []);
    const found = rest.length === 0 ? [] : await this.#decoder.run(rest);
    for (const { commit } of prepared) commit();
    let next = 0;
    return prepared.map(({ logits, rest }) =>
      joined(rest ? [...logits, found[next++]!] : logits)
    );
  }

  async sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    const prepared = await this.#prepare(
      chunks.map(({ sampler: _, ...chunk }) => ({ ...chunk, logits: 1 })),
    );
    // Where logits are asked for, something is left to run.
    const samples = await this.#decoder.sample(
      prepared.map(({ rest }, i) => {
        const { logits: _, ...chunk } = rest!;
        return { ...chunk, sampler: chunks[i]!.sampler };
      }),
    );
    for (const { commit } of prepared) commit();
    return samples;
  }

  async release(): Promise<void> {
    await this.#decoder.release();
  }

  /** Runs all that can be before the run that may not change one slot without the others. */
  async #prepare(chunks: readonly DecodeChunk[]): Promise<Prepared[]> {
    this.#check(chunks.filter(({ slot }) => this.#conversations.has(slot)));
    const prepared: Prepared[] = [];
    for (const chunk of chunks) {
      prepared.push(
        this.#conversations.has(chunk.slot)
          ? await this.#recompute(chunk)
          : { logits: [], rest: chunk, commit: () => {} },
      );
    }
    return prepared;
  }

  /** @throws {RangeError} unless all chunks can be appended; what is not computed is not checked later. */
  #check(chunks: readonly DecodeChunk[]): void {
    this.#book.check(chunks);
    for (const token of chunks.flatMap(({ tokens }) => tokens)) {
      if (Number.isInteger(token) && token >= 0 && token < this.vocabulary) {
        continue;
      }
      throw new RangeError(
        `Cannot append token ${token}: the vocabulary has ids 0 to ${
          this.vocabulary - 1
        }`,
      );
    }
  }

  /** Computes the logits that are asked for, but for the last part of the last window. */
  async #recompute(chunk: DecodeChunk): Promise<Prepared> {
    const { slot } = chunk;
    const held = this.#book.before(chunk);
    const { policy } = held;
    const { from, tokens: before } = this.#conversations.get(slot)!.last;
    const tokens = [...before, ...chunk.tokens];
    const goals = windows(held, chunk).map(({ oldest, to, logits }) => ({
      from: oldest,
      tokens: tokens.slice(oldest - from, to - from),
      logits,
    }));
    const logits: Float32Array[] = [];
    for (const goal of goals.slice(0, -1)) {
      const rest = await this.#approach(slot, goal);
      logits.push(...await this.#decoder.run([rest]));
      this.#holds(slot, goal);
    }
    const goal = goals.at(-1);
    return {
      logits,
      rest: goal ? await this.#approach(slot, goal) : null,
      commit: () => {
        if (goal) this.#holds(slot, goal);
        this.#book.append(chunk);
        const dropped = Math.max(0, tokens.length - policy.window);
        const last = { from: from + dropped, tokens: tokens.slice(dropped) };
        const { inside } = this.#conversations.get(slot)!;
        this.#conversations.set(slot, { last, inside });
      },
    };
  }

  /** Brings a slot so near to a window that one run is left. */
  async #approach(
    slot: number,
    { from, tokens, logits }: Stretch & { logits: number },
  ): Promise<DecodeChunk> {
    const { inside } = this.#conversations.get(slot)!;
    const there = inside.from === from &&
        this.#decoder.seen(slot) === inside.tokens.length
      ? commonLength(inside.tokens, tokens)
      : 0;
    const { policy } = this.#book.opened(slot);
    let at = Math.min(there, tokens.length - Math.max(1, logits));
    const more = inside.tokens.length > at;
    if (
      more && !this.#decoder.rewindable(rowsOf(policy), inside.tokens.length)
    ) {
      at = 0;
    }
    if (at === 0) this.#clear(slot, policy);
    else if (more) this.#decoder.rewind(slot, at);
    this.#holds(slot, { from, tokens: tokens.slice(0, at) });
    for (;;) {
      const limit = this.#decoder.limit(slot);
      if (tokens.length - at <= limit) {
        return { slot, tokens: tokens.slice(at), logits };
      }
      // All tokens whose logits are asked for go together, in the last run.
      const end = Math.min(at + limit, tokens.length - Math.max(1, logits));
      const part = { slot, tokens: tokens.slice(at, end), logits: 0 };
      await this.#decoder.run([part]);
      at = end;
      this.#holds(slot, { from, tokens: tokens.slice(0, at) });
    }
  }

  /** Remembers what the decoder's slot holds. */
  #holds(slot: number, { from, tokens }: Stretch): void {
    const conversation = this.#conversations.get(slot)!;
    const inside = { from, tokens };
    this.#conversations.set(slot, { ...conversation, inside });
  }

  /** Begins the decoder's slot anew. */
  #clear(slot: number, policy: SinkWindow): void {
    this.#decoder.open(slot, rowsOf(policy));
  }
}

/** What the decoder's slot keeps of a window. */
function rowsOf({ window }: SinkWindow): SinkWindow {
  return new SinkWindow(0, window);
}

/**
 * The windows that a chunk needs: each from its oldest position up to, but not including, `to`, with
 * the logits of its last tokens.
 */
function windows(
  { policy, seen, boundaries }: Held,
  { tokens, logits }: DecodeChunk,
): { oldest: number; to: number; logits: number }[] {
  const end = seen + tokens.length;
  if (logits === 0) {
    return end > policy.window ? [] : [{ oldest: 0, to: end, logits }];
  }
  const found: { oldest: number; to: number; logits: number }[] = [];
  for (let p = end - logits; p < end; p++) {
    const oldest = policy.oldest(p, boundaries);
    const last = found.at(-1);
    if (last?.oldest === oldest) {
      last.to++;
      last.logits++;
    } else found.push({ oldest, to: p + 1, logits: 1 });
  }
  return found;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** Rows of logits as one. */
function joined(rows: readonly Float32Array[]): Float32Array {
  if (rows.length === 1) return rows[0]!;
  const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}
