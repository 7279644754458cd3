/** From logits, or what a device computed of them, to a token. @module */
import { checkOptions } from "./check_options.ts";
import type { Logprobs } from "./logprobs.ts";
import type { SamplerOptions } from "./options.ts";
import { PipelineSampler } from "./pipeline_sampler.ts";
import type { LogitSummary, SummaryRequest } from "./summary.ts";
import type { TokenMask } from "./token_mask.ts";

/** A chosen token. */
export interface Sample {
  readonly token: number;
  /** Under the raw distribution, before any option; `null` unless the sampler was asked for them. */
  readonly logprobs: Logprobs | null;
}

/**
 * Chooses the tokens of one answer: each from all logits or, where those are on a device, from a summary of them.
 * A device is asked with {@linkcode Sampler.request}; its answer goes to {@linkcode Sampler.fromSummary} and, if that
 * is not enough, all logits to {@linkcode Sampler.sample}. A choice that failed half-way is asked for again alike.
 */
export interface Sampler {
  /**
   * Choose the next token. It is not yet part of the context: see {@linkcode Sampler.accept}.
   *
   * @param logits [vocabularySize], not modified. -Infinity is a token that cannot be chosen.
   * @param mask Which tokens can be chosen, before all options. Log probabilities stay those of all tokens.
   * @throws {TypeError} If there is not one logit for each token.
   * @throws {RangeError} If the logits are no distribution: one is NaN or +Infinity, or all are -Infinity, or masked.
   */
  sample(logits: Float32Array, mask?: TokenMask): Sample;
  /** What a device must compute for the next choice; `null` if only all logits will do. */
  request(): SummaryRequest | null;
  /** Whether `fromSummary` can choose from this; the choice is not made yet. */
  enough(summary: LogitSummary): boolean;
  /**
   * Choose the next token as `sample` chooses it from all logits, but for the rounding of the summary.
   *
   * @param summary What a device answered to the latest request.
   * @returns `null` if it takes all logits to choose: the filters keep more than the tokens that are named, more log
   * probabilities are wanted, or something in the summary is not finite (`sample` then tells why, or copes).
   */
  fromSummary(summary: LogitSummary): Sample | null;
  /**
   * Tell the sampler of tokens before the answer. They count for the repetition penalty only.
   *
   * @throws {RangeError} If a token is not in the vocabulary; then none of them counts.
   */
  observePrompt(tokens: readonly number[]): void;
  /**
   * Tell the sampler of the answer's next token. It counts for all three penalties.
   *
   * @throws {RangeError} If the token is not in the vocabulary.
   */
  accept(token: number): void;
}

/**
 * A sampler for one answer.
 *
 * The order is that of Hugging Face's `generate` (`GenerationMixin._get_logits_processor`), in which top-k, top-p
 * and min-p see the tempered distribution: repetition penalty, frequency and presence penalties, logit bias,
 * temperature, top-k, top-p (of what top-k left), min-p. llama.cpp's default chain has temperature last instead; OpenAI's
 * API, whose `top_p` and `temperature` these are, does not say. Each filter leaves at least one token.
 *
 * A temperature of 0 takes the largest logit after penalties and bias (of equals, the lowest id). A bias is a value
 * that is added, -100 and 100 too: as OpenAI says of theirs, they should ban or force a token, and they do wherever
 * logits lie within a few tens of each other. To forbid a token for certain, give it a logit of -Infinity.
 *
 * Without a seed, the generator's state is random; with one, the same logits, options and calls give the same tokens.
 * Each choice above temperature 0 takes one number from the generator, whatever the options.
 *
 * @throws {RangeError} If an option is out of its range or the vocabulary's size is not a positive integer.
 *
 * @example Greedy
 * ```ts
 * import { createSampler } from "./sampler.ts";
 *
 * const sampler = createSampler({ temperature: 0 }, 3);
 * console.log(sampler.sample(Float32Array.of(0.1, 2.5, -1)).token); // 1
 * ```
 */
export function createSampler(
  options: SamplerOptions,
  vocabularySize: number,
): Sampler {
  if (!Number.isSafeInteger(vocabularySize) || vocabularySize < 1) {
    throw new RangeError(
      `Cannot use vocabularySize as a positive integer: current value is ${vocabularySize}`,
    );
  }
  checkOptions(options, vocabularySize);
  return new PipelineSampler(options, vocabularySize);
}
