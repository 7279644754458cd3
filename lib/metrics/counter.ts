/** A count that only grows. @module */
import type { Labels, Sample } from "./exposition.ts";
import type { Series } from "./metric.ts";

/** A series of a counter. */
export class Counter implements Series {
  #value = 0;

  /**
   * Counts some more.
   *
   * @throws {RangeError} if that is not 0 or more
   */
  add(amount = 1): void {
    if (!(amount >= 0)) {
      throw new RangeError(`Cannot add to a counter: ${amount} is not >= 0`);
    }
    this.#value += amount;
  }

  samples(labels: Labels): Sample[] {
    return [{ suffix: "", labels, value: this.#value }];
  }
}
