/** Where a failed step is caught before it can become a token. @module */

/**
 * The largest of the logits.
 *
 * @param logits [vocabularySize]; -Infinity is a token that cannot be chosen.
 * @returns Its index (of equals, the lowest) and its value, a finite number.
 * @throws {RangeError} If a logit is NaN or +Infinity, or none is above -Infinity.
 */
export function largestLogit(
  logits: Float32Array | Float64Array,
): { token: number; logit: number } {
  let token = -1;
  let max = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > max) {
      max = logit;
      token = id;
    } else if (logit !== logit) {
      throw new RangeError(
        `Cannot use logits as a distribution: token ${id} has NaN`,
      );
    }
  }
  if (max === Infinity) {
    throw new RangeError(
      `Cannot use logits as a distribution: token ${token} has Infinity`,
    );
  }
  if (token < 0) {
    throw new RangeError(
      "Cannot use logits as a distribution: every token has -Infinity",
    );
  }
  return { token, logit: max };
}

/**
 * Throws unless there is a logit for each token.
 *
 * @throws {TypeError} If there is not.
 */
export function checkLength(
  logits: ArrayLike<number>,
  vocabularySize: number,
): void {
  if (logits.length !== vocabularySize) {
    throw new TypeError(
      `Cannot use logits as [${vocabularySize}]: current length is ${logits.length}`,
    );
  }
}
