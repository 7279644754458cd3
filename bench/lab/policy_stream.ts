/** One policy on a text, chunk by chunk, and what it expected of each token. @module */
import type { Decoder } from "../../lib/decoder/decoder.ts";
import { type BenchModel, timed } from "../bench_model.ts";
import { median } from "../statistics.ts";
import { divergence, type Reference, summarize } from "./distributions.ts";
import type { LabPolicy } from "./policies.ts";

/** Runs of one token that are timed. */
export const STEPS = 32;

/** What one policy made of a text: one value for each query that was scored, about the token after it. */
export interface StreamedPolicy extends LabPolicy {
  /** −ln of the probability of the text's next token; of `full` only as far as it holds all. */
  readonly losses: Float64Array;
  /** KL(full ‖ this), nats, as far as `full` went; empty without one. */
  readonly divergences: Float64Array;
  /** 1 where the most likely token is `full`'s, else 0; as long as `divergences`. */
  readonly agreements: Uint8Array;
  /** Of the conversation. */
  readonly cacheBytes: number;
  /** Milliseconds a token, medians over the text: in chunks, and one a run at its end. */
  readonly chunkMs: number;
  readonly stepMs: number;
}

/** One policy's way through a text, on a decoder of its own. */
export class PolicyStream {
  readonly policy: LabPolicy;
  readonly #decoder: Decoder;
  readonly #text: readonly number[];
  readonly #losses: number[] = [];
  readonly #divergences: number[] = [];
  readonly #agreements: number[] = [];
  readonly #times: number[] = [];

  private constructor(
    policy: LabPolicy,
    decoder: Decoder,
    text: readonly number[],
  ) {
    this.policy = policy;
    this.#decoder = decoder;
    this.#text = text;
    decoder.open(0, policy.policy);
  }

  static async open(
    model: BenchModel,
    policy: LabPolicy,
    text: readonly number[],
  ): Promise<PolicyStream> {
    const { policy: rows, format, lazyLayers } = policy;
    const decoder = await model.decoder(rows, { format, lazyLayers });
    return new PolicyStream(policy, decoder, text);
  }

  get vocabulary(): number {
    return this.#decoder.vocabulary;
  }

  get limit(): number {
    return this.#decoder.limit(0);
  }

  /** Tokens that were read. */
  get seen(): number {
    return this.#decoder.seen(0);
  }

  /** Bytes that one token takes of the cache. */
  get tokenBytes(): number {
    return this.#decoder.tokenBytes;
  }

  /**
   * Appends the text's next tokens, in as many runs as they take, and scores the last `scored` of them
   * (default: all), against references if there are some. Gives their logits.
   */
  async append(
    count: number,
    { scored = count, references = [] }: {
      scored?: number;
      references?: readonly Reference[];
    } = {},
  ): Promise<Float32Array> {
    const { seen, vocabulary } = this;
    const logits = new Float32Array(scored * vocabulary);
    const milliseconds = await timed(async () => {
      for (let at = 0; at < count;) {
        const end = Math.min(count, at + this.limit);
        const tokens = this.#text.slice(seen + at, seen + end);
        const unscored = count - scored;
        const own = Math.max(0, end - Math.max(at, unscored));
        const chunk = { slot: 0, tokens, logits: own };
        const [given] = await this.#decoder.run([chunk]);
        logits.set(given!, Math.max(0, at - unscored) * vocabulary);
        at = end;
      }
    });
    this.#times.push(milliseconds / count);
    const first = seen + count - scored;
    for (const [i, summary] of summarize(logits, vocabulary).entries()) {
      const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const next = this.#text[first + i + 1]!;
      this.#losses.push(summary.logSumExp - row[next]!);
      const reference = references[i];
      if (!reference) continue;
      this.#divergences.push(divergence(reference, row, summary));
      this.#agreements.push(reference.top === summary.top ? 1 : 0);
    }
    return logits;
  }

  /** Times single tokens after the text and gives what was measured. */
  async finish(steps: number): Promise<StreamedPolicy> {
    const { seen } = this;
    const times: number[] = [];
    for (const token of this.#text.slice(seen, seen + steps)) {
      const chunk = { slot: 0, tokens: [token], logits: 1 };
      times.push(await timed(() => this.#decoder.run([chunk])));
    }
    return {
      ...this.policy,
      losses: Float64Array.from(this.#losses),
      divergences: Float64Array.from(this.#divergences),
      agreements: Uint8Array.from(this.#agreements),
      cacheBytes: this.#decoder.slotBytes,
      chunkMs: median(this.#times),
      stepMs: times.length === 0 ? NaN : median(times),
    };
  }
}
