/** How much of their attention a conversation's last queries gave to near tokens, by layer. @module */
import { LAST_QUERIES } from "../cache/lazy_layers.ts";

/** Averages over heads and the last 32 queries. */
export class AttentionMass {
  readonly #layers: number;
  /** Latest queries last: by layer, averages over heads. */
  #queries: readonly Float64Array[];

  /** @param queries what another had of them */
  constructor(layers: number, queries: readonly Float64Array[] = []) {
    this.#layers = layers;
    this.#queries = queries;
  }

  /** What there is of the last queries so far; what is added later does not change it. */
  get queries(): readonly Float64Array[] {
    return this.#queries;
  }

  /**
   * Adds the queries of a chunk.
   *
   * @param mass `[layers × heads, chunk]`
   */
  add(mass: Float32Array, chunk: number): void {
    const heads = mass.length / this.#layers / chunk;
    const first = Math.max(0, chunk - LAST_QUERIES);
    const queries = Array.from({ length: chunk - first }, (_, i) => {
      const query = new Float64Array(this.#layers);
      for (let row = 0; row < this.#layers * heads; row++) {
        const layer = Math.floor(row / heads);
        query[layer]! += mass[row * chunk + first + i]! / heads;
      }
      return query;
    });
    this.#queries = [...this.#queries, ...queries].slice(-LAST_QUERIES);
  }

  /** Averages, 0 … 1; 0 before the first query. */
  get byLayer(): number[] {
    const count = Math.max(1, this.#queries.length);
    return Array.from(
      { length: this.#layers },
      (_, layer) =>
        this.#queries.reduce((sum, query) => sum + query[layer]!, 0) / count,
    );
  }
}
