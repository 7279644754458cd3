/**
 * What a device that has the logits computes of them, so that few bytes have to leave it for each
 * token: the likeliest tokens, the sums that make them probabilities, and one token drawn from all.
 *
 * @module
 */

/** How many of the likeliest tokens a summary names. */
export const SUMMARY_TOKENS = 256;

/** One logit to be changed before anything else is computed. */
export interface LogitChange {
  readonly token: number;
  /** Divides the logit if it is positive, else multiplies it (CTRL's repetition penalty); 1 leaves it. */
  readonly divisor: number;
  /** Added after that. */
  readonly added: number;
}

/** What is asked of a device. */
export interface SummaryRequest {
  /** Divides logits; above 0. */
  readonly temperature: number;
  /** In [0, 1): the share of the tempered distribution's mass, by ascending id, that lies before the token to draw. */
  readonly fraction: number;
  /** Each token at most once. */
  readonly changes: readonly LogitChange[];
}

/** What a device answers: the distribution after all changes, but for `logSum`. */
export interface LogitSummary {
  /** The likeliest tokens, the likeliest first; of equals, the lowest id first. At most {@linkcode SUMMARY_TOKENS}. */
  readonly tokens: Uint32Array;
  /** Their logits, changed but not tempered. */
  readonly logits: Float32Array;
  /** ln Σ exp(logit / temperature). */
  readonly temperedLogSum: number;
  /** ln Σ exp(logit) of the logits as they were. */
  readonly logSum: number;
  /** The token drawn, and its changed logit. */
  readonly drawn: { readonly token: number; readonly logit: number };
}
