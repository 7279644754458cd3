/** How often values of which size were observed. @module */
import { type Labels, numberText, type Sample } from "./exposition.ts";
import type { Series } from "./metric.ts";

/** A series of a histogram with fixed buckets. */
export class Histogram implements Series {
  readonly #bounds: readonly number[];
  /** Observations in each bucket alone; the last one has those over every bound. */
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds the buckets' upper bounds, each in its bucket; ascending, without infinity */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array(bounds.length + 1).fill(0);
  }

  /** Counts a value, as many times as it was observed. */
  observe(value: number, times = 1): void {
    const found = this.#bounds.findIndex((bound) => value <= bound);
    this.#counts[found < 0 ? this.#bounds.length : found]! += times;
    this.#sum += value * times;
  }

  samples(labels: Labels): Sample[] {
    let count = 0;
    const buckets = [...this.#bounds, Infinity].map((bound, i): Sample => ({
      suffix: "_bucket",
      labels: { ...labels, le: numberText(bound) },
      value: count += this.#counts[i]!,
    }));
    return [
      ...buckets,
      { suffix: "_sum", labels, value: this.#sum },
      { suffix: "_count", labels, value: count },
    ];
  }
}
