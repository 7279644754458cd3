/**
 * The tempered distribution and its filters. Candidates stay in the order of their ids and keep unnormalised
 * weights (the most likely one has 1), so no filter sorts or renormalises, and nothing is allocated per token
 * beyond a few words: a vocabulary of 49,152 is filtered some ten thousand times per conversation.
 *
 * @module
 */
import { EXP_NEGATIVE_LIMIT, expNegative } from "./exp.ts";
import { type Cut, findCut } from "./select.ts";

/** Token ids with weights, filtered in place; made once for a vocabulary size and refilled for each token. */
export class Candidates {
  /** Token ids in ascending order; the first `size` are the candidates. */
  readonly ids: Uint32Array;
  /** Unnormalised probabilities of `ids`, in (0, 1]. */
  readonly weights: Float64Array;
  /** How many candidates there are. */
  size = 0;
  /** The sum of the candidates' weights. */
  mass = 0;
  readonly #order: Float64Array;

  /** @param vocabularySize The most candidates there can be. */
  constructor(vocabularySize: number) {
    this.ids = new Uint32Array(vocabularySize);
    this.weights = new Float64Array(vocabularySize);
    this.#order = new Float64Array(vocabularySize);
  }

  /**
   * Start anew from softmax(logits / temperature).
   *
   * Tokens so unlikely that all of them together are below the rounding of a double (2⁻⁵³ of the whole) are left out.
   *
   * @param logits [vocabularySize], at least one of them finite, none NaN or +Infinity.
   * @param options.max The largest logit.
   * @param options.temperature More than 0.
   */
  fill(
    logits: Float64Array,
    { max, temperature }: { max: number; temperature: number },
  ): void {
    const { ids, weights } = this;
    const reach = Math.min(
      53 * Math.LN2 + Math.log(logits.length),
      EXP_NEGATIVE_LIMIT,
    );
    let size = 0;
    let mass = 0;
    for (let id = 0; id < logits.length; id++) {
      const below = (max - logits[id]!) / temperature;
      if (below > reach) continue;
      const weight = expNegative(below);
      ids[size] = id;
      weights[size++] = weight;
      mass += weight;
    }
    this.size = size;
    this.mass = mass;
  }

  /** Keep the k most likely candidates; of equals, those of the lowest ids. 0 keeps all. */
  keepTopK(k: number): void {
    if (k === 0 || k >= this.size) return;
    const order = this.#order.subarray(0, this.size);
    order.set(this.weights.subarray(0, this.size));
    this.#keep(findCut(order, k, "count"));
  }

  /**
   * Keep the smallest set of the most likely candidates that has at least the share p of the mass, and at least
   * one (nucleus sampling, arXiv 1904.09751); of equals, those of the lowest ids. 1 keeps all.
   */
  keepTopP(p: number): void {
    if (p === 1) return;
    // Candidates under this weight hold less than the share 1 - p together: the nucleus is among the others.
    const target = Math.max(p * this.mass, Number.MIN_VALUE);
    const floor = ((1 - p) * this.mass) / this.size;
    let size = 0;
    for (let i = 0; i < this.size; i++) {
      const weight = this.weights[i]!;
      if (weight >= floor) this.#order[size++] = weight;
    }
    this.#keep(findCut(this.#order.subarray(0, size), target, "mass"));
  }

  /** Keep the candidates at least p times as likely as the most likely one (arXiv 2407.01082). 0 keeps all. */
  keepMinP(p: number): void {
    if (p > 0) this.#keep({ threshold: p, ties: this.size });
  }

  /**
   * The candidate under which `fraction` of the mass falls.
   *
   * @param fraction In [0, 1).
   * @returns A token id.
   */
  at(fraction: number): number {
    let left = fraction * this.mass;
    const last = this.size - 1;
    for (let i = 0; i < last; i++) {
      left -= this.weights[i]!;
      if (left < 0) return this.ids[i]!;
    }
    return this.ids[last]!;
  }

  #keep({ threshold, ties }: Cut): void {
    const { ids, weights } = this;
    let size = 0;
    let mass = 0;
    for (let i = 0; i < this.size; i++) {
      const weight = weights[i]!;
      if (weight < threshold || (weight === threshold && ties-- <= 0)) continue;
      ids[size] = ids[i]!;
      weights[size++] = weight;
      mass += weight;
    }
    this.size = size;
    this.mass = mass;
  }
}
