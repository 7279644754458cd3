/**
 * The tempered distribution and its filters. Candidates stay in the order of their ids and keep unnormalised
 * weights (the most likely one has 1), so no filter sorts or renormalises, and nothing is allocated per token
 * beyond a few words: a vocabulary of 49,152 is filtered some ten thousand times per conversation.
 *
 * @module
 */
import { EXP_NEGATIVE_LIMIT, expNegative } from "./exp.ts";
import { type Cut, findCut } from "./select.ts";

/**
 * Token ids with weights, filtered in place; made once for a vocabulary size and refilled for each token.
 *
 * They may be the likeliest tokens of a vocabulary alone. The filters, of which each keeps the likeliest, then give
 * what they give of all tokens once one of them cuts within those that are here; until then, they are `partial`.
 */
export class Candidates {
  /** Indices of the logits, in ascending order; the first `size` are the candidates. */
  readonly ids: Uint32Array;
  /** Unnormalised probabilities of `ids`, in (0, 1]. */
  readonly weights: Float64Array;
  /** How many candidates there are. */
  size = 0;
  /** The sum of the candidates' weights, those of the missing ones included. */
  mass = 0;
  /** Whether candidates are missing, all of them at most as likely as those that are here. */
  partial = false;
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
   * @param logits [vocabularySize] or, of the likeliest tokens alone, fewer; at least one of them finite, none NaN
   * or +Infinity.
   * @param options.max The largest logit.
   * @param options.temperature More than 0.
   * @param options.mass Of fewer logits, Σ exp((logit - max) / temperature) of the whole vocabulary.
   */
  fill(
    logits: Float64Array,
    { max, temperature, mass: whole = 0 }: {
      max: number;
      temperature: number;
      mass?: number;
    },
  ): void {
    const { ids, weights } = this;
    const reach = Math.min(
      53 * Math.LN2 + Math.log(ids.length),
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
    // Where one token is too unlikely, so are all that are less likely.
    this.partial = size === logits.length && size < ids.length;
    this.mass = this.partial ? Math.max(mass, whole) : mass;
  }

  /** Keep the k most likely candidates; of equals, those of the lowest ids. 0 keeps all. */
  keepTopK(k: number): void {
    if (k === 0 || k > this.size || (k === this.size && !this.partial)) return;
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
    const most = this.partial ? this.ids.length : this.size;
    const floor = ((1 - p) * this.mass) / most;
    let size = 0;
    let mass = 0;
    for (let i = 0; i < this.size; i++) {
      const weight = this.weights[i]!;
      if (weight < floor) continue;
      this.#order[size++] = weight;
      mass += weight;
    }
    if (this.partial && mass < target) return;
    this.#keep(findCut(this.#order.subarray(0, size), target, "mass"));
  }

  /** Keep the candidates at least p times as likely as the most likely one (arXiv 2407.01082). 0 keeps all. */
  keepMinP(p: number): void {
    if (p === 0) return;
    const here = this.size;
    if (this.partial && !this.weights.subarray(0, here).some((w) => w < p)) {
      return;
    }
    this.#keep({ threshold: p, ties: here });
  }

  /**
   * The candidate under which `fraction` of the mass falls.
   *
   * @param fraction In [0, 1).
   * @returns The index of its logit.
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
    this.partial = false;
  }
}
