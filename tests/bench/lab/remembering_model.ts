/**
 * A model that can do one thing: where a token has come before, and what followed it is still held,
 * it expects that to follow again. What is held is said by section 3 of the design, not by `lib/`.
 *
 * @module
 */
import type { BenchModel } from "../../../bench/bench_model.ts";
import type { SinkWindow } from "../../../lib/cache/sink_window.ts";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
  Snapshot,
} from "../../../lib/decoder/decoder.ts";
import { sampleByRun } from "../../../lib/decoder/sample_by_run.ts";
import type { Sample } from "../../../lib/sampling/mod.ts";
import { recordingModel } from "../small_bench_model.ts";

interface RememberedTokens extends Snapshot {
  readonly tokens: readonly number[];
}

/** A decoder of one slot that remembers what its policy holds. */
export class RememberingDecoder implements Decoder {
  readonly slots = 1;
  readonly vocabulary = 64;
  readonly slotBytes = 1000;
  readonly tokenBytes = 10;
  readonly cacheBytes = 1000;
  readonly gpuBytes = null;
  readonly chunk = 16;
  readonly room = { sinks: 64, window: 4096 };
  /** All tokens so far, each time that logits were wanted. */
  readonly asked: number[][] = [];
  #policy: SinkWindow;
  #tokens: number[] = [];

  constructor(policy: SinkWindow) {
    this.#policy = policy;
  }

  open(_slot: number, policy: SinkWindow): void {
    this.#policy = policy;
    this.#tokens = [];
  }

  close(): void {}

  seen(): number {
    return this.#tokens.length;
  }

  lazyLayers(): readonly number[] {
    return [];
  }

  rewindable(): boolean {
    return false;
  }

  rewind(): void {
    throw new Error("A cache that has evicted cannot be rewound");
  }

  limit(): number {
    return this.chunk;
  }

  save(): RememberedTokens {
    const tokens = this.#tokens.slice();
    return { policy: this.#policy, seen: tokens.length, bytes: 0, tokens };
  }

  restore(_slot: number, snapshot: Snapshot): Promise<void> {
    this.#tokens = (snapshot as RememberedTokens).tokens.slice();
    return Promise.resolve();
  }

  run([chunk]: readonly DecodeChunk[]): Promise<Float32Array[]> {
    const { tokens, logits } = chunk!;
    this.#tokens.push(...tokens);
    if (logits > 0) this.asked.push(this.#tokens.slice());
    const rows = new Float32Array(logits * this.vocabulary);
    for (let row = 0; row < logits; row++) {
      const query = this.#tokens.length - logits + row;
      const expected = this.#expected(query);
      if (expected !== null) rows[row * this.vocabulary + expected] = 10;
    }
    return Promise.resolve([rows]);
  }

  #expected(query: number): number | null {
    const { sinks, window } = this.#policy;
    for (let place = query; place > 0; place--) {
      const held = place < sinks || place >= query - window + 1;
      if (held && this.#tokens[place - 1] === this.#tokens[query]) {
        return this.#tokens[place]!;
      }
    }
    return null;
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

/** A model of such decoders, and those that it gave. */
export function rememberingModel(): BenchModel & {
  readonly decoders: RememberingDecoder[];
} {
  const decoders: RememberingDecoder[] = [];
  return {
    ...recordingModel(),
    id: "remembering",
    decoders,
    decoder(policy) {
      const decoder = new RememberingDecoder(policy);
      decoders.push(decoder);
      return Promise.resolve(decoder);
    },
  };
}
