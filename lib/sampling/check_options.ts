/** What makes sampling options valid, in one table. @module */
import type { SamplerOptions, SamplingOptions } from "./options.ts";

type NumericOption = Exclude<keyof SamplingOptions, "logitBias">;

const RULES: Record<
  NumericOption,
  [valid: (value: number) => boolean, words: string]
> = {
  temperature: [
    (t) => t >= 0 && Number.isFinite(t),
    "a finite number of at least 0",
  ],
  topK: [(k) => k >= 0 && Number.isSafeInteger(k), "an integer of at least 0"],
  topP: [(p) => p >= 0 && p <= 1, "a number from 0 to 1"],
  minP: [(p) => p >= 0 && p <= 1, "a number from 0 to 1"],
  repetitionPenalty: [
    (r) => r > 0 && Number.isFinite(r),
    "a finite number above 0",
  ],
  presencePenalty: [Number.isFinite, "a finite number"],
  frequencyPenalty: [Number.isFinite, "a finite number"],
  seed: [Number.isSafeInteger, "a safe integer"],
};

/**
 * Throws unless every option is in its range and every biased token in the vocabulary.
 *
 * @throws {RangeError} Naming the option, what it should be and what it is.
 */
export function checkOptions(
  options: SamplerOptions,
  vocabularySize: number,
): void {
  checkCount("topLogprobs", options.topLogprobs ?? 0, vocabularySize);
  for (const name of Object.keys(RULES) as NumericOption[]) {
    const value = options[name];
    const [valid, words] = RULES[name];
    if (value !== undefined && !valid(value)) {
      throw new RangeError(
        `Cannot use ${name} as ${words}: current value is ${value}`,
      );
    }
  }
  for (const [token, bias] of options.logitBias ?? []) {
    checkToken(token, vocabularySize);
    if (!(bias >= -100 && bias <= 100)) {
      throw new RangeError(
        `Cannot use logitBias of token ${token} as a number from -100 to 100: current value is ${bias}`,
      );
    }
  }
}

/**
 * Throws unless `token` is one of the vocabulary.
 *
 * @throws {RangeError} If it is not.
 */
export function checkToken(token: number, vocabularySize: number): void {
  if (!Number.isInteger(token) || token < 0 || token >= vocabularySize) {
    throw new RangeError(
      `Cannot use token as an id in a vocabulary of ${vocabularySize}: current value is ${token}`,
    );
  }
}

/**
 * Throws unless there can be `count` tokens of the vocabulary.
 *
 * @throws {RangeError} Naming the option, if there cannot.
 */
export function checkCount(
  name: string,
  count: number,
  vocabularySize: number,
): void {
  if (!Number.isInteger(count) || count < 0 || count > vocabularySize) {
    throw new RangeError(
      `Cannot use ${name} as a count in a vocabulary of ${vocabularySize}: current value is ${count}`,
    );
  }
}
