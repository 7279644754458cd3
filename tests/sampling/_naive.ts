/** The sampler's distribution again, as slowly and plainly as possible: f64 and full sorts. @module */
import type { SamplingOptions } from "../../lib/sampling/options.ts";

/** A kept token and its unnormalised weight. */
export interface Weighted {
  token: number;
  weight: number;
}

/** Tokens by falling weight, of equals by id, after temperature, top-k, top-p and min-p in this order. */
export function naiveCandidates(
  logits: readonly number[],
  options: SamplingOptions,
): Weighted[] {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const max = Math.max(...logits);
  let kept = logits
    .map((logit, token) => ({
      token,
      weight: Math.exp((logit - max) / temperature),
    }))
    .sort((a, b) => b.weight - a.weight || a.token - b.token);
  if (topK > 0) kept = kept.slice(0, topK);
  const target = topP * total(kept);
  let sum = 0;
  let size = 0;
  while (size < kept.length && (size === 0 || sum < target)) {
    sum += kept[size++]!.weight;
  }
  if (topP < 1) kept = kept.slice(0, size);
  return kept.filter(({ weight }) => weight >= minP);
}

/** The sum of the weights. */
export function total(weighted: readonly Weighted[]): number {
  return weighted.reduce((sum, { weight }) => sum + weight, 0);
}
