/**
 * What the scheduler needs of a decoder: slots, each with a conversation's cache, and runs that
 * take new tokens of several of them.
 *
 * @module
 */
import type { SinkWindow } from "../cache/sink_window.ts";
import type { GpuBytes } from "../engine/gpu_ledger.ts";
import type { Sample, Sampler } from "../sampling/mod.ts";

/** New tokens of one slot. */
export interface TokenChunk {
  readonly slot: number;
  /** At least one, at most the decoder's `chunk`. */
  readonly tokens: readonly number[];
  /**
   * Which of these tokens, by index, begin a message, ascending. Told of them, the slot's window
   * begins where a message does; without any, ever, its tokens leave one by one.
   */
  readonly starts?: readonly number[];
}

/** New tokens whose logits are asked for. */
export interface DecodeChunk extends TokenChunk {
  /** Of how many of these tokens, counted from the last, logits are wanted. */
  readonly logits: number;
}

/** New tokens of one slot, and who chooses the one that follows. */
export interface SampledChunk extends TokenChunk {
  readonly sampler: Sampler;
}

/** A conversation's cache outside of any slot: only rows in use, bit for bit. */
export interface Snapshot {
  readonly policy: SinkWindow;
  /** Tokens appended so far. */
  readonly seen: number;
  /** Bytes that it holds. */
  readonly bytes: number;
}

/** A model with its slots. */
export interface Decoder {
  /** Size of the vocabulary: logits of one token. */
  readonly vocabulary: number;
  readonly slots: number;
  /** Most tokens of one {@linkcode DecodeChunk}. */
  readonly chunk: number;
  /** Most sinks a slot has room for, and its window's rows. */
  readonly room: { readonly sinks: number; readonly window: number };
  /** Bytes of one slot's cache, from its first token to its last. */
  readonly slotBytes: number;
  /** Bytes that one token takes of it. */
  readonly tokenBytes: number;
  /** Bytes of all slots' caches. */
  readonly cacheBytes: number;
  /** Bytes on the GPU by what they are for; `null` if there is none in use. */
  readonly gpuBytes: GpuBytes | null;

  /**
   * Starts a conversation in a slot; whatever was there is forgotten.
   *
   * @throws {RangeError} if the policy does not fit the slot; the slot is as it was.
   */
  open(slot: number, policy: SinkWindow): void;
  /** Ends the conversation in a slot, if there is one. */
  close(slot: number): void;
  /** Tokens appended to a slot so far. */
  seen(slot: number): number;
  /** Which layers of a slot keep fewer tokens than its policy's capacity, ascending; most decoders have none. */
  lazyLayers(slot: number): readonly number[];
  /**
   * Whether a conversation that has seen so many tokens can be rewound: nothing of it has been
   * overwritten.
   */
  rewindable(policy: SinkWindow, seen: number): boolean;
  /**
   * Forgets all but the first `count` tokens of a slot.
   *
   * @throws {RangeError} if there are not as many, or there are more and the slot is not
   * {@linkcode Decoder.rewindable}.
   */
  rewind(slot: number, count: number): void;
  /** Most tokens that a slot's next chunk may have. */
  limit(slot: number): number;
  /** Copies a slot's cache as it is now, though the copy's bytes may arrive later. */
  save(slot: number): Snapshot;
  /**
   * Puts a copy into a slot; whatever was there is forgotten. The conversation goes on from there
   * as it would have gone on in its first slot. Until then, nothing else may be done with the slot.
   *
   * @throws {RangeError} if the copy does not fit the slot; the slot is as it was.
   */
  restore(slot: number, snapshot: Snapshot): Promise<void>;
  /**
   * Appends tokens of any number of slots, in as few runs as that takes. Gives the wanted logits of
   * each chunk, `[logits, vocabulary]`.
   *
   * @throws {Error} if the engine fails; no slot has changed then.
   */
  run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]>;
  /**
   * Appends tokens as {@linkcode Decoder.run} does. Gives the token that follows each chunk, chosen
   * by its sampler from the logits of the chunk's last token; `rejected` if that sampler throws,
   * which is no concern of the other chunks.
   *
   * @throws {Error} if the engine fails; no slot has changed then, and no sampler has chosen.
   */
  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]>;
  /** Frees the model. */
  release(): Promise<void>;
}
