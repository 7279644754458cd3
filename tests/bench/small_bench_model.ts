/**
 * Models for the tests of the benchmarks: one that only remembers what it was run on, and a small
 * random one on disk with a vocabulary.
 *
 * @module
 */
import { join } from "node:path";
import type { BenchModel } from "../../bench/bench_model.ts";
import type { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { DecodeChunk, Decoder } from "../../lib/decoder/decoder.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { metadataOf, SMALL, tensorsOf } from "../reference/small_model.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";
import { writeGguf } from "../weights/gguf_writer.ts";

/** One run of a {@linkcode RecordingDecoder}: tokens seen before it, and its tokens. */
export interface RecordedRun {
  readonly seen: number;
  readonly tokens: readonly number[];
}

/** A decoder that answers token t with t + 1 and remembers its runs. */
export class RecordingDecoder implements Decoder {
  readonly slots = 1;
  readonly slotBytes = 1000;
  readonly cacheBytes = 1000;
  readonly runs: RecordedRun[] = [];
  /** How often the conversation was started. */
  opened = 0;
  readonly policy: SinkWindow;
  readonly vocabulary: number;
  readonly chunk: number;
  #seen = 0;

  constructor(policy: SinkWindow, vocabulary: number, chunk: number) {
    this.policy = policy;
    this.vocabulary = vocabulary;
    this.chunk = chunk;
  }

  get room(): { sinks: number; window: number } {
    return { sinks: this.policy.sinks, window: this.policy.window };
  }

  open(): void {
    this.opened++;
    this.#seen = 0;
  }

  seen(): number {
    return this.#seen;
  }

  rewind(_slot: number, count: number): void {
    this.#seen = count;
  }

  run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    return Promise.resolve(chunks.map(({ tokens, logits }) => {
      this.runs.push({ seen: this.#seen, tokens: [...tokens] });
      this.#seen += tokens.length;
      const rows = new Float32Array(logits * this.vocabulary);
      for (let row = 0; row < logits; row++) {
        const token = tokens[tokens.length - logits + row]!;
        rows[row * this.vocabulary + (token + 1) % this.vocabulary] = 10;
      }
      return rows;
    }));
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}

/** A model whose decoders only remember; `decoders` are those it gave. */
export interface RecordingModel extends BenchModel {
  readonly decoders: RecordingDecoder[];
}

/** Gives a {@linkcode RecordingModel} whose runs take at most `chunk` tokens. */
export function recordingModel(chunk = 16): RecordingModel {
  const tokenizer = createTokenizer(smallVocabulary());
  const decoders: RecordingDecoder[] = [];
  return {
    id: "recording",
    path: "recording.gguf",
    sha256: "0".repeat(64),
    engine: "native",
    reason: "a test",
    threads: 1,
    tokenizer,
    decoders,
    decoder(policy, size = chunk) {
      const decoder = new RecordingDecoder(policy, tokenizer.size, size);
      decoders.push(decoder);
      return decoder;
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
