/** The sampler's steps: changes of single logits, temperature, filters, one random number. @module */
import { Candidates } from "./candidates.ts";
import { checkLength, largestLogit } from "./check_logits.ts";
import { checkToken } from "./check_options.ts";
import { type Logprobs, logprobs } from "./logprobs.ts";
import type { SamplerOptions } from "./options.ts";
import { Penalties } from "./penalties.ts";
import { createRandom, type Random } from "./random.ts";
import type { Sample, Sampler } from "./sampler.ts";
import {
  type LogitSummary,
  SUMMARY_TOKENS,
  type SummaryRequest,
} from "./summary.ts";
import { applyMask, type TokenMask } from "./token_mask.ts";

/** Working memory of one vocabulary size. Samplers share it: no choice ever yields, so one at a time uses it. */
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

/** What {@linkcode createSampler} makes, of valid options. */
export class PipelineSampler implements Sampler {
  readonly #vocabularySize: number;
  readonly #temperature: number;
  readonly #topK: number;
  readonly #topP: number;
  readonly #minP: number;
  readonly #topLogprobs: number | null;
  readonly #penalties: Penalties;
  readonly #random: Random;
  /** The random number of the choice under way. */
  #fraction: number | null = null;

  constructor(options: SamplerOptions, vocabularySize: number) {
    this.#vocabularySize = vocabularySize;
    this.#temperature = options.temperature ?? 1;
    this.#topK = options.topK ?? 0;
    this.#topP = options.topP ?? 1;
    this.#minP = options.minP ?? 0;
    this.#topLogprobs = options.topLogprobs ?? null;
    this.#penalties = new Penalties(options);
    this.#random = createRandom(options.seed);
  }

  sample(logits: Float32Array, mask?: TokenMask): Sample {
    checkLength(logits, this.#vocabularySize);
    const token = this.#token(logits, mask);
    this.#fraction = null;
    const top = this.#topLogprobs;
    return {
      token,
      logprobs: top === null ? null : logprobs(logits, token, top),
    };
  }

  request(): SummaryRequest | null {
    const { changes } = this.#penalties;
    const greedy = this.#temperature === 0;
    // Log probabilities are of the logits as they were, which a summary does not have.
    if (this.#topLogprobs !== null && changes.length > 0) return null;
    if (!greedy && this.#topK > SUMMARY_TOKENS) return null;
    return {
      temperature: greedy ? 1 : this.#temperature,
      fraction: greedy ? 0 : this.#fractionOfChoice(),
      changes,
    };
  }

  enough(summary: LogitSummary): boolean {
    return this.#sampleNamed(summary) !== null;
  }

  fromSummary(summary: LogitSummary): Sample | null {
    const sample = this.#sampleNamed(summary);
    if (sample) this.#fraction = null;
    return sample;
  }

  observePrompt(tokens: readonly number[]): void {
    for (const token of tokens) checkToken(token, this.#vocabularySize);
    for (const token of tokens) this.#penalties.see(token);
  }

  accept(token: number): void {
    checkToken(token, this.#vocabularySize);
    this.#penalties.accept(token);
  }

  #sampleNamed(summary: LogitSummary): Sample | null {
    const { tokens, logits, logSum, temperedLogSum } = summary;
    const finite = [logits[0], logSum, temperedLogSum].every(Number.isFinite);
    const top = this.#topLogprobs;
    if (!finite || (top ?? 0) > tokens.length) return null;
    const chosen = this.#chooseNamed(summary);
    if (chosen === null) return null;
    return {
      token: chosen.token,
      logprobs: top === null ? null : logprobsOf(summary, chosen, top),
    };
  }

  #token(logits: Float32Array, mask?: TokenMask): number {
    const greedy = this.#temperature === 0;
    if (greedy && !mask && this.#penalties.none) {
      return largestLogit(logits).token; // no copy, if nothing changes it
    }
    const scratch = scratchOf(this.#vocabularySize);
    scratch.logits.set(logits);
    if (mask) applyMask(scratch.logits, mask);
    this.#penalties.apply(scratch.logits);
    const largest = largestLogit(scratch.logits);
    return greedy
      ? largest.token
      : this.#choose(scratch.logits, { max: largest.logit })!;
  }

  /** One number for a choice, however often it is asked for. */
  #fractionOfChoice(): number {
    return this.#fraction ??= this.#random();
  }

  #chooseNamed(
    { tokens, logits, temperedLogSum, drawn }: LogitSummary,
  ): { token: number; logit: number } | null {
    const max = logits[0]!;
    if (this.#temperature === 0) return { token: tokens[0]!, logit: max };
    if (this.#topK === 0 && this.#topP === 1 && this.#minP === 0) return drawn;
    const places = [...tokens.keys()].sort((a, b) => tokens[a]! - tokens[b]!);
    const index = this.#choose(
      Float64Array.from(places, (place) => logits[place]!),
      { max, mass: Math.exp(temperedLogSum - max / this.#temperature) },
    );
    if (index === null) return null;
    const place = places[index]!;
    return { token: tokens[place]!, logit: logits[place]! };
  }

  /** The index of the logit that is chosen; `null` if these are too few (see {@linkcode Candidates}). */
  #choose(
    logits: Float64Array,
    of: { max: number; mass?: number },
  ): number | null {
    const { candidates } = scratchOf(this.#vocabularySize);
    candidates.fill(logits, { ...of, temperature: this.#temperature });
    candidates.keepTopK(this.#topK);
    // Of fewer than top-k leaves, nobody knows the mass.
    if (candidates.partial && this.#topK > 0) return null;
    candidates.keepTopP(this.#topP);
    candidates.keepMinP(this.#minP);
    return candidates.partial ? null : candidates.at(this.#fractionOfChoice());
  }
}

function logprobsOf(
  { tokens, logits, logSum }: LogitSummary,
  chosen: { logit: number },
  top: number,
): Logprobs {
  return {
    logprob: chosen.logit - logSum,
    top: Array.from(tokens.subarray(0, top), (token, i) => ({
      token,
      logprob: logits[i]! - logSum,
    })),
  };
}
