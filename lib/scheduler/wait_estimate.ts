/**
 * After how long it is worth coming back, from how long slots were held lately.
 *
 * @module
 */

/** How much the latest lease counts in the moving average. */
const WEIGHT = 1 / 8;
const LEAST = 1;
const MOST = 60;

/** A moving average of how long slots are held. */
export class WaitEstimate {
  readonly #slots: number;
  #mean: number | null = null;

  /** @param slots how many are held side by side */
  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Takes note of a slot that was held for this many milliseconds. */
  add(milliseconds: number): void {
    const mean = this.#mean ?? milliseconds;
    this.#mean = mean + WEIGHT * (milliseconds - mean);
  }

  /**
   * Whole seconds, from 1 to 60, until the request at this place in line has its turn.
   *
   * @param place 1 is next
   */
  seconds(place: number): number {
    const wait = (this.#mean ?? 0) * place / this.#slots / 1000;
    return Math.min(MOST, Math.max(LEAST, Math.ceil(wait)));
  }
}
