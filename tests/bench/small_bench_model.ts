/**
 * Models for the tests of the benchmarks: one that only remembers what it was run on, and a small
 * random one on disk with a vocabulary.
 *
 * @module
 */
import { join } from "node:path";
import type { BenchModel, BenchRoom } from "../../bench/bench_model.ts";
import type { SinkWindow } from "../../lib/cache/sink_window.ts";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
  Snapshot,
} from "../../lib/decoder/decoder.ts";
import { sampleByRun } from "../../lib/decoder/sample_by_run.ts";
import type { Sample } from "../../lib/sampling/mod.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { metadataOf, SMALL, tensorsOf } from "../reference/small_model.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";
import { writeGguf } from "../weights/gguf_writer.ts";

/** New tokens of one slot, and the tokens seen before them. */
export interface RecordedChunk {
  readonly slot: number;
  readonly seen: number;
  readonly tokens: readonly number[];
}

/** A decoder that answers token t with t + 1 and remembers its runs. */
export class RecordingDecoder implements Decoder {
  readonly slots: number;
  readonly slotBytes = 1000;
  readonly tokenBytes = 10;
  readonly gpuBytes = null;
  /** The chunks of each run. */
  readonly batches: RecordedChunk[][] = [];
  /** How often a conversation was started. */
  opened = 0;
  readonly policy: SinkWindow;
  readonly vocabulary: number;
  readonly chunk: number;
  readonly #seen: number[];
  readonly #onRun: () => void;

  constructor(
    policy: SinkWindow,
    of: {
      slots: number;
      vocabulary: number;
      chunk: number;
      onRun: () => void;
    },
  ) {
    this.policy = policy;
    this.slots = of.slots;
    this.vocabulary = of.vocabulary;
    this.chunk = of.chunk;
    this.#onRun = of.onRun;
    this.#seen = new Array<number>(of.slots).fill(0);
  }

  get room(): { sinks: number; window: number } {
    return { sinks: this.policy.sinks, window: this.policy.window };
  }

  get cacheBytes(): number {
    return this.slots * this.slotBytes + 500; // that all share
  }

  /** All chunks in order, where there is one slot. */
  get runs(): { seen: number; tokens: readonly number[] }[] {
    return this.batches.flat().map(({ seen, tokens }) => ({ seen, tokens }));
  }

  open(slot: number): void {
    this.opened++;
    this.#seen[slot] = 0;
  }

  close(): void {}

  seen(slot: number): number {
    return this.#seen[slot]!;
  }

  lazyLayers(): readonly number[] {
    return [];
  }

  rewindable(): boolean {
    return true;
  }

  rewind(slot: number, count: number): void {
    this.#seen[slot] = count;
  }

  limit(slot: number): number {
    return Math.min(this.chunk, this.policy.chunkLimit(this.#seen[slot]!));
  }

  save(slot: number): Snapshot {
    return { policy: this.policy, seen: this.#seen[slot]!, bytes: 0 };
  }

  restore(slot: number, { seen }: Snapshot): Promise<void> {
    this.#seen[slot] = seen;
    return Promise.resolve();
  }

  run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    this.#onRun();
    this.batches.push(chunks.map(({ slot, tokens }) => ({
      slot,
      seen: this.#seen[slot]!,
      tokens: [...tokens],
    })));
    return Promise.resolve(chunks.map(({ slot, tokens, logits }) => {
      this.#seen[slot]! += tokens.length;
      const rows = new Float32Array(logits * this.vocabulary);
      for (let row = 0; row < logits; row++) {
        const token = tokens[tokens.length - logits + row]!;
        rows[row * this.vocabulary + (token + 1) % this.vocabulary] = 10;
      }
      return rows;
    }));
  }

  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    return sampleByRun(this, chunks);
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}

/** A model whose decoders only remember. */
export interface RecordingModel extends BenchModel {
  /** Those it gave. */
  readonly decoders: RecordingDecoder[];
  /** How their caches were to be kept. */
  readonly rooms: BenchRoom[];
  /** Which of them ran, in order. */
  readonly turns: number[];
}

/** Gives a {@linkcode RecordingModel} whose runs take at most `chunk` tokens. */
export function recordingModel(chunk = 16): RecordingModel {
  const tokenizer = createTokenizer(smallVocabulary());
  const decoders: RecordingDecoder[] = [];
  const rooms: BenchRoom[] = [];
  const turns: number[] = [];
  return {
    id: "recording",
    path: "recording.gguf",
    sha256: "0".repeat(64),
    engine: "native",
    reason: "a test",
    threads: 1,
    layers: 4,
    tokenizer,
    decoders,
    rooms,
    turns,
    decoder(policy, room = {}) {
      const { slots = 1 } = room;
      const index = decoders.length;
      rooms.push(room);
      const decoder = new RecordingDecoder(policy, {
        slots,
        vocabulary: tokenizer.size,
        chunk,
        onRun: () => turns.push(index),
      });
      decoders.push(decoder);
      return Promise.resolve(decoder);
    },
    release: () => Promise.resolve(),
  };
}

/** Writes a small random model with a vocabulary into `directory`; gives its path. */
export async function writeSmallBenchModel(directory: string): Promise<string> {
  const { tokens, tokenTypes, merges, model, pre } = smallVocabulary();
  const options = { ...SMALL, vocabulary: tokens.length };
  const path = join(directory, "small.gguf");
  await writeGguf(path, {
    metadata: {
      ...metadataOf(options),
      "tokenizer.ggml.model": model,
      "tokenizer.ggml.pre": pre!,
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": tokenTypes,
      "tokenizer.ggml.merges": merges,
      "tokenizer.ggml.eos_token_id": 2,
    },
    tensors: tensorsOf(options),
  });
  return path;
}
