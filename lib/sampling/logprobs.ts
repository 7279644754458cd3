/** The log probabilities that the OpenAI API reports beside the chosen tokens. @module */
import { largestLogit } from "./check_logits.ts";
import { checkCount, checkToken } from "./check_options.ts";
import { EXP_NEGATIVE_LIMIT, expNegative } from "./exp.ts";

/** A token and the natural logarithm of its probability. */
export interface TokenLogprob {
  /** The token's id. */
  token: number;
  /** At most 0; -Infinity for a token that cannot be chosen. */
  logprob: number;
}

/** What {@linkcode logprobs} returns. */
export interface Logprobs {
  /** The natural logarithm of the token's probability. */
  logprob: number;
  /** The most likely tokens, the likeliest first; of equals, the lowest id first. */
  top: TokenLogprob[];
}

/**
 * Natural-log probabilities under the raw distribution, before any option: those of `token` and of the `top` most
 * likely tokens.
 *
 * @param logits [vocabularySize], not modified.
 * @param token A token of the vocabulary.
 * @param top How many of the most likely tokens to name, at most the vocabulary's size; meant for a few (OpenAI: 20).
 * @throws {RangeError} If `token` or `top` is not in the vocabulary's range, or the logits are no distribution:
 * one is NaN or +Infinity, or all are -Infinity.
 *
 * @example Two equal logits
 * ```ts
 * import { logprobs } from "./logprobs.ts";
 *
 * console.log(logprobs(Float32Array.of(1, 1), 0, 1)); // logprob: -0.693…, top: [{ token: 0, logprob: -0.693… }]
 * ```
 */
export function logprobs(
  logits: Float32Array,
  token: number,
  top: number,
): Logprobs {
  checkToken(token, logits.length);
  checkCount("top", top, logits.length);
  const max = largestLogit(logits).logit;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    const below = max - logits[id]!;
    if (below <= EXP_NEGATIVE_LIMIT) sum += expNegative(below);
  }
  const logSum = max + Math.log(sum);
  return {
    logprob: logits[token]! - logSum,
    top: mostLikely(logits, top).map((id) => ({
      token: id,
      logprob: logits[id]! - logSum,
    })),
  };
}

/** The ids of the `count` largest logits, by insertion: nearly every token fails the first comparison. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  let floor = -Infinity;
  for (let id = 0; id < logits.length && count > 0; id++) {
    const logit = logits[id]!;
    if (ids.length === count && logit <= floor) continue;
    if (ids.length === count) ids.pop();
    let place = ids.length;
    while (place > 0 && logits[ids[place - 1]!]! < logit) place--;
    ids.splice(place, 0, id);
    floor = logits[ids.at(-1)!]!;
  }
  return ids;
}
