/** Choosing among the tokens that a grammar lets come next. @module */
import type { Sample, Sampler } from "./sampler.ts";
import type { LogitSummary } from "./summary.ts";
import type { TokenMask } from "./token_mask.ts";

/** Which tokens of a text may come next, found out elsewhere while other things go on. */
export interface MaskSource {
  /** What may come after all tokens that were accepted. */
  mask(): Promise<TokenMask>;
  /** Takes the next token. */
  accept(token: number): void;
}

/** In place of a choice that is yet to be made. */
const TAKEN: Sample = { token: -1, logprobs: null };

/**
 * A sampler that takes all logits out of a run, and chooses when the mask is there: the runs of other
 * conversations, which share the batch, never wait for it.
 */
export class ConstrainedSampler implements Sampler {
  readonly #sampler: Sampler;
  readonly #masks: MaskSource;
  #logits: Float32Array | null = null;

  constructor(sampler: Sampler, masks: MaskSource) {
    this.#sampler = sampler;
    this.#masks = masks;
  }

  /** Takes the logits; gives no token. */
  sample(logits: Float32Array): Sample {
    this.#logits = logits.slice();
    return TAKEN;
  }

  /**
   * Chooses from the logits that were taken.
   *
   * @throws what {@linkcode MaskSource.mask} and {@linkcode Sampler.sample} throw
   */
  async choose(): Promise<Sample> {
    const mask = await this.#masks.mask();
    return this.#sampler.sample(this.#logits!, mask);
  }

  request(): null {
    return null;
  }

  enough(_summary: LogitSummary): boolean {
    return false;
  }

  fromSummary(_summary: LogitSummary): null {
    return null;
  }

  observePrompt(tokens: readonly number[]): void {
    this.#sampler.observePrompt(tokens);
  }

  accept(token: number): void {
    this.#sampler.accept(token);
    this.#masks.accept(token);
  }
}
