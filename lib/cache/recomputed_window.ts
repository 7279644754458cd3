/** The window that is rebuilt for each token. @module */
import { SinkWindow } from "./sink_window.ts";

/**
 * A window whose rows are computed anew from its last W tokens for each one, at positions 0 … W − 1:
 * what a model that knows just these tokens can do at best, and the baseline of StreamingLLM's paper
 * (arXiv 2309.17453, "sliding window with re-computation"). In a plain window rows stay as they were
 * computed, when older tokens were still there. Until W tokens are seen both are the same.
 *
 * A `RecomputingDecoder` does the work: up to W tokens for one.
 */
export class RecomputedWindow extends SinkWindow {
  readonly recomputed = true;

  /** @throws {RangeError} if `window` is below 1, or no integer. */
  constructor(window: number) {
    super(0, window);
  }
}
