/**
 * What logits say, row by row: how likely the text's next token was, and how far one policy's
 * distribution is from another's. The same arithmetic as `bench/statistics.ts`, arranged so that
 * a reference is looked at once for all that are compared with it.
 *
 * @module
 */
import { argMax } from "../statistics.ts";

/** ln Σ exp of a row, and its most likely token. */
export interface RowSummary {
  readonly logSumExp: number;
  readonly top: number;
}

/** Summaries of each row of logits, `[rows, vocabulary]`. */
export function summarize(
  logits: Float32Array,
  vocabulary: number,
): RowSummary[] {
  const rows: RowSummary[] = [];
  for (let from = 0; from < logits.length; from += vocabulary) {
    const row = logits.subarray(from, from + vocabulary);
    const top = argMax(row);
    const max = row[top]!;
    let total = 0;
    for (let i = 0; i < vocabulary; i++) total += Math.exp(row[i]! - max);
    rows.push({ logSumExp: max + Math.log(total), top });
  }
  return rows;
}

/** A row of logits as probabilities. */
export interface Reference {
  /** `[vocabulary]`. */
  readonly probabilities: Float64Array;
  /** Σ p ln p, nats. */
  readonly negativeEntropy: number;
  readonly top: number;
}

/** Rows of logits as references, `[rows, vocabulary]`. */
export function referencesOf(
  logits: Float32Array,
  vocabulary: number,
): Reference[] {
  return summarize(logits, vocabulary).map(({ logSumExp, top }, row) => {
    const probabilities = new Float64Array(vocabulary);
    let negativeEntropy = 0;
    for (let i = 0; i < vocabulary; i++) {
      const logarithm = logits[row * vocabulary + i]! - logSumExp;
      const probability = Math.exp(logarithm);
      probabilities[i] = probability;
      negativeEntropy += probability * logarithm;
    }
    return { probabilities, negativeEntropy, top };
  });
}

/**
 * KL(reference ‖ row), nats: Σ p ln p − Σ p ln q, where ln q is the logit less the row's
 * {@linkcode RowSummary.logSumExp}.
 *
 * @param row logits, `[vocabulary]`
 */
export function divergence(
  { probabilities, negativeEntropy }: Reference,
  row: Float32Array,
  { logSumExp }: RowSummary,
): number {
  let cross = 0;
  for (let i = 0; i < row.length; i++) cross += probabilities[i]! * row[i]!;
  return negativeEntropy - cross + logSumExp;
}
