/** Which tokens may come next. @module */

/** A bit for each token, the lowest of the first word for token 0; set if the token may come. */
export type TokenMask = Int32Array;

/** Whether a token may come; one beyond the mask may not. */
export function allows(mask: TokenMask, token: number): boolean {
  return ((mask[token >>> 5] ?? 0) >>> (token & 31) & 1) === 1;
}

/** Gives -Infinity to each token that may not come. */
export function applyMask(logits: Float64Array, mask: TokenMask): void {
  for (let token = 0; token < logits.length; token++) {
    if (!allows(mask, token)) logits[token] = -Infinity;
  }
}
