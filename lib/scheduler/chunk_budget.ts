/**
 * How long a prompt's next chunk may be, so that those who stream keep streaming: arithmetic on
 * measured times alone.
 *
 * @module
 */

/**
 * A turn of the scheduler takes one step and one chunk. With both it may take this many times what
 * the step takes alone (below 3, which is promised, by what times vary).
 */
const TURN_PER_STEP = 2;

/** Likewise, if a chunk's time grew as its tokens do, which is the worst that one more can cost. */
const MOST_PER_STEP = 2.8;

/** Weight of one new measurement against those before: a step that was shorter counts more, to be on the safe side. */
const LONGER = 0.1;
const SHORTER = 0.3;

/** Tokens of a chunk while nothing is known. */
const FIRST = 8;

/**
 * Learns how many tokens fit: one more after each chunk that took less than is allowed, fewer at once after one
 * that took more. What a chunk costs whatever its length is not told apart from what a token costs, since lengths
 * that hardly change do not tell.
 */
export class ChunkBudget {
  /** Milliseconds of a step, `null` before the first. */
  #step: number | null = null;
  #tokens = FIRST;

  /** Takes note of a step that ran. */
  stepTook(milliseconds: number): void {
    const step = this.#step ?? milliseconds;
    const weight = milliseconds < step ? SHORTER : LONGER;
    this.#step = step + weight * (milliseconds - step);
  }

  /** Takes note of a chunk that ran while others stream. */
  chunkTook(tokens: number, milliseconds: number): void {
    if (this.#step === null || tokens > this.#tokens) return;
    const allowed = (TURN_PER_STEP - 1) * this.#step;
    if (milliseconds > allowed) {
      const fitting = Math.floor(tokens * allowed / milliseconds);
      this.#tokens = Math.max(1, fitting);
    } else if (tokens === this.#tokens) {
      const more = tokens + Math.max(1, tokens >> 3);
      const most = (MOST_PER_STEP - 1) * this.#step;
      if (milliseconds * more / tokens <= most) this.#tokens = more;
    }
  }

  /**
   * Tokens of the next chunk, from 1 to `most`, while others stream. Before anything was measured it
   * is a small one.
   */
  tokens(most: number): number {
    return Math.min(most, this.#tokens);
  }
}
