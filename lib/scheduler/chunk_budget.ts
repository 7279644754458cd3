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
const TURN_PER_STEP = 2.2;

/** Weight of what was measured before against one new measurement. */
const MEMORY = 0.9;

/** Learns what steps and chunks cost. */
export class ChunkBudget {
  /** Milliseconds of a step, `null` before the first. */
  #step: number | null = null;
  /** Weighted sums over chunks of n tokens that took t milliseconds: 1, n, t, n², n·t. */
  #sums = { one: 0, n: 0, t: 0, nn: 0, nt: 0 };

  /** Takes note of a step that ran. */
  stepTook(milliseconds: number): void {
    this.#step = this.#step === null
      ? milliseconds
      : MEMORY * this.#step + (1 - MEMORY) * milliseconds;
  }

  /** Takes note of a chunk that ran. */
  chunkTook(tokens: number, milliseconds: number): void {
    const { one, n, t, nn, nt } = this.#sums;
    this.#sums = {
      one: MEMORY * one + 1,
      n: MEMORY * n + tokens,
      t: MEMORY * t + milliseconds,
      nn: MEMORY * nn + tokens * tokens,
      nt: MEMORY * nt + tokens * milliseconds,
    };
  }

  /**
   * Tokens of the next chunk, from 1 to `most`, while others stream. Before anything was measured it
   * is a small one.
   */
  tokens(most: number): number {
    if (this.#step === null) return Math.min(most, FIRST);
    const [fixed, each] = this.#cost();
    if (each === 0) return Math.min(most, FIRST);
    const allowed = ((TURN_PER_STEP - 1) * this.#step - fixed) / each;
    return Math.max(1, Math.min(most, Math.floor(allowed)));
  }

  /** Milliseconds of a chunk and of each of its tokens: the straight line nearest to the measured. */
  #cost(): [fixed: number, each: number] {
    const { one, n, t, nn, nt } = this.#sums;
    if (one === 0) return [0, 0];
    const spread = one * nn - n * n;
    // Chunks of about one size do not tell the two apart.
    if (spread < 1e-3 * n * n) return [0, t / n];
    const each = (one * nt - n * t) / spread;
    const fixed = (t - each * n) / one;
    // Neither can be below nothing: noise.
    if (each <= 0 || fixed < 0) return [0, t / n];
    return [fixed, each];
  }
}

/** Tokens of a chunk while nothing is known. */
const FIRST = 8;
