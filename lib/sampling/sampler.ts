/** From logits to a token. @module */
import { Candidates } from "./candidates.ts";
import { checkLength, largestLogit } from "./check_logits.ts";
import { checkOptions, checkToken } from "./check_options.ts";
import type { SamplingOptions } from "./options.ts";
import { Penalties } from "./penalties.ts";
import { createRandom, type Random } from "./random.ts";

/** Chooses the tokens of one answer. */
export interface Sampler {
  /**
   * Choose the next token. It is not yet part of the context: see {@linkcode Sampler.accept}.
   *
   * @param logits [vocabularySize], not modified. -Infinity is a token that cannot be chosen.
   * @throws {TypeError} If there is not one logit for each token.
   * @throws {RangeError} If the logits are no distribution: one is NaN or +Infinity, or all are -Infinity.
   */
  sample(logits: Float32Array): number;
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
 * console.log(sampler.sample(Float32Array.of(0.1, 2.5, -1))); // 1
 * ```
 */
export function createSampler(
  options: SamplingOptions,
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

/** Working memory of one vocabulary size. Samplers share it: `sample` never yields, so one at a time uses it. */
interface Scratch {
  logits: Float64Array;
  candidates: Candidates;
}

const scratches = new Map<number, Scratch>();

function scratchOf(vocabularySize: number): Scratch {
  let scratch = scratches.get(vocabularySize);
  if (scratch === undefined) {
    scratch = {
      logits: new Float64Array(vocabularySize),
      candidates: new Candidates(vocabularySize),
    };
    scratches.set(vocabularySize, scratch);
  }
  return scratch;
}

class PipelineSampler implements Sampler {
  readonly #vocabularySize: number;
  readonly #temperature: number;
  readonly #topK: number;
  readonly #topP: number;
  readonly #minP: number;
  readonly #penalties: Penalties;
  readonly #random: Random;

  constructor(options: SamplingOptions, vocabularySize: number) {
    this.#vocabularySize = vocabularySize;
    this.#temperature = options.temperature ?? 1;
    this.#topK = options.topK ?? 0;
    this.#topP = options.topP ?? 1;
    this.#minP = options.minP ?? 0;
    this.#penalties = new Penalties(options);
    this.#random = createRandom(options.seed);
  }

  sample(logits: Float32Array): number {
    checkLength(logits, this.#vocabularySize);
    const scratch = scratchOf(this.#vocabularySize);
    scratch.logits.set(logits);
    this.#penalties.apply(scratch.logits);
    const largest = largestLogit(scratch.logits);
    if (this.#temperature === 0) return largest.token;

    const { candidates } = scratch;
    candidates.fill(scratch.logits, {
      max: largest.logit,
      temperature: this.#temperature,
    });
    candidates.keepTopK(this.#topK);
    candidates.keepTopP(this.#topP);
    candidates.keepMinP(this.#minP);
    return candidates.at(this.#random());
  }

  observePrompt(tokens: readonly number[]): void {
    for (const token of tokens) checkToken(token, this.#vocabularySize);
    for (const token of tokens) this.#penalties.see(token);
  }

  accept(token: number): void {
    checkToken(token, this.#vocabularySize);
    this.#penalties.accept(token);
  }
}
