/**
 * What is added to or taken from single logits before a token is chosen. The work is in proportion to the tokens
 * that were seen or biased, never to the vocabulary.
 *
 * @module
 */
import type { SamplingOptions } from "./options.ts";

/** The tokens of one request that are penalised or biased. */
export class Penalties {
  readonly #repetition: number;
  readonly #presence: number;
  readonly #frequency: number;
  readonly #bias: ReadonlyMap<number, number>;
  /** Prompt and answer tokens, filled only for the repetition penalty. */
  readonly #seen = new Set<number>();
  /** How many times a token is in the answer, filled only for the other two. */
  readonly #counts = new Map<number, number>();

  /** @param options Valid ones; the rest of them is not used. */
  constructor(options: SamplingOptions) {
    this.#repetition = options.repetitionPenalty ?? 1;
    this.#presence = options.presencePenalty ?? 0;
    this.#frequency = options.frequencyPenalty ?? 0;
    this.#bias = new Map(options.logitBias);
  }

  /** Count a prompt token. */
  see(token: number): void {
    if (this.#repetition !== 1) this.#seen.add(token);
  }

  /** Count an answer token. */
  accept(token: number): void {
    this.see(token);
    if (this.#presence !== 0 || this.#frequency !== 0) {
      this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
    }
  }

  /**
   * Change `logits` in place: the repetition penalty (CTRL, arXiv 1909.05858; positive logits are divided and
   * negative ones multiplied, so that both fall), then the frequency and presence penalties (subtracted, as OpenAI
   * defines them), then the bias (added last, so that no penalty weakens it).
   */
  apply(logits: Float64Array): void {
    for (const token of this.#seen) {
      const logit = logits[token]!;
      logits[token] = logit > 0
        ? logit / this.#repetition
        : logit * this.#repetition;
    }
    for (const [token, count] of this.#counts) {
      logits[token] = logits[token]! - this.#presence - count * this.#frequency;
    }
    for (const [token, bias] of this.#bias) {
      logits[token] = logits[token]! + bias;
    }
  }
}
