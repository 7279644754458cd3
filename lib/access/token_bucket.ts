/**
 * A token bucket: what may be spent at once, and how fast it comes back. Pure arithmetic; the time
 * is told by the caller, in seconds since whenever.
 *
 * @module
 */

/** What adding up in floating point may be wrong by: whoever waited as long as told has enough. */
const ROUNDING = 1e-6;

/** An amount per minute that may be spent at any pace, all of it at once too. */
export class TokenBucket {
  /** What comes back within a minute, and the most there is. */
  readonly perMinute: number;
  #level: number;
  #time: number;

  /** A full one. */
  constructor(perMinute: number, now: number) {
    this.perMinute = perMinute;
    this.#level = perMinute;
    this.#time = now;
  }

  /** What may be spent now; below 0 if more was spent than there was. */
  level(now: number): number {
    // A clock that goes back gives nothing and takes nothing.
    const passed = Math.max(0, now - this.#time);
    return Math.min(
      this.perMinute,
      this.#level + passed * this.perMinute / 60,
    );
  }

  /** Spends, whether or not there is enough. */
  spend(amount: number, now: number): void {
    this.#level = this.level(now) - amount;
    this.#time = Math.max(this.#time, now);
  }

  /** Seconds until the level is `amount`, 0 if it is; never, if that is over what there can be. */
  secondsUntil(amount: number, now: number): number {
    const missing = amount - this.level(now);
    if (missing <= ROUNDING) return 0;
    return amount > this.perMinute ? Infinity : missing * 60 / this.perMinute;
  }

  /** Seconds until it is full. */
  secondsUntilFull(now: number): number {
    return this.secondsUntil(this.perMinute, now);
  }
}
