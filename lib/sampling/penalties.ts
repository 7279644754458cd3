/**
 * What is added to or taken from single logits before a token is chosen. The work is in proportion to the tokens
 * that were seen or biased, never to the vocabulary.
 *
 * @module
 */
import type { SamplingOptions } from "./options.ts";
import type { LogitChange } from "./summary.ts";

/** The tokens of one request that are penalised or biased. */
export class Penalties {
  readonly #repetition: number;
  readonly #presence: number;
  readonly #frequency: number;
  readonly #bias: ReadonlyMap<number, number>;
  /** How many times a token is in the answer, filled only for the last two penalties. */
  readonly #counts = new Map<number, number>();
  /** By token. */
  readonly #changes = new Map<number, LogitChange>();

  /** @param options Valid ones; the rest of them is not used. */
  constructor(options: SamplingOptions) {
    this.#repetition = options.repetitionPenalty ?? 1;
    this.#presence = options.presencePenalty ?? 0;
    this.#frequency = options.frequencyPenalty ?? 0;
    this.#bias = new Map(options.logitBias);
    for (const [token, added] of this.#bias) this.#change(token, { added });
  }

  /** Count a prompt token. */
  see(token: number): void {
    const divisor = this.#repetition;
    if (divisor !== 1) this.#change(token, { divisor });
  }

  /** Count an answer token. */
  accept(token: number): void {
    this.see(token);
    if (this.#presence === 0 && this.#frequency === 0) return;
    const count = (this.#counts.get(token) ?? 0) + 1;
    this.#counts.set(token, count);
    const penalty = this.#presence + count * this.#frequency;
    this.#change(token, { added: (this.#bias.get(token) ?? 0) - penalty });
  }

  /**
   * What has to be changed, each token once: the repetition penalty (CTRL, arXiv 1909.05858; positive logits are
   * divided and negative ones multiplied, so that both fall), then the frequency and presence penalties (subtracted,
   * as OpenAI defines them) and the bias (added last, so that no penalty weakens it).
   */
  get changes(): LogitChange[] {
    return [...this.#changes.values()];
  }

  /** Whether nothing has to be changed. */
  get none(): boolean {
    return this.#changes.size === 0;
  }

  /** Change `logits` in place. */
  apply(logits: Float64Array): void {
    for (const { token, divisor, added } of this.#changes.values()) {
      const logit = logits[token]!;
      logits[token] = (logit > 0 ? logit / divisor : logit * divisor) + added;
    }
  }

  #change(token: number, part: Partial<LogitChange>): void {
    const before = this.#changes.get(token) ?? { token, divisor: 1, added: 0 };
    this.#changes.set(token, { ...before, ...part });
  }
}
