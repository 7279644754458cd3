/** A metric: a name and what it means, and a series for each set of labels. @module */
import type { Family, Labels, Sample } from "./exposition.ts";

/** What one series holds, as lines. */
export interface Series {
  /** Its lines under these labels. */
  samples(labels: Labels): Sample[];
}

/** A metric whose series begin when they are first asked for. */
export class Metric<S extends Series> {
  readonly #head: Omit<Family, "samples">;
  readonly #begin: () => S;
  readonly #series = new Map<string, { labels: Labels; series: S }>();

  /** @param begin makes a new series */
  constructor(head: Omit<Family, "samples">, begin: () => S) {
    this.#head = head;
    this.#begin = begin;
  }

  /** The series of these labels. */
  at(labels: Labels): S {
    const key = JSON.stringify(Object.entries(labels).sort());
    const known = this.#series.get(key);
    if (known) return known.series;
    const series = this.#begin();
    this.#series.set(key, { labels, series });
    return series;
  }

  /** All of it, for the exposition. */
  get family(): Family {
    const samples = [...this.#series.values()]
      .flatMap(({ labels, series }) => series.samples(labels));
    return { ...this.#head, samples };
  }
}
