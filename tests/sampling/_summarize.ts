/** What a device answers to a request, by definition: f64 and full sorts. @module */
import {
  type LogitSummary,
  SUMMARY_TOKENS,
  type SummaryRequest,
} from "../../lib/sampling/summary.ts";

/** The summary of `logits` that `request` asks for; its named logits are rounded to f32, its sums are not. */
export function summarize(
  logits: ArrayLike<number>,
  { temperature, fraction, changes }: SummaryRequest,
): LogitSummary {
  const changed = changeLogits(logits, changes);
  const tokens = Uint32Array.from(changed.keys())
    .sort((a, b) => changed[b]! - changed[a]! || a - b)
    .subarray(0, SUMMARY_TOKENS);
  const tempered = changed.map((logit) => logit / temperature);
  const token = tokenAt(tempered, fraction);
  return {
    tokens,
    logits: Float32Array.from(tokens, (token) => changed[token]!),
    temperedLogSum: logSumOf(tempered),
    logSum: logSumOf(Array.from(logits)),
    drawn: { token, logit: changed[token]! },
  };
}

/** The logits after a request's changes. */
export function changeLogits(
  logits: ArrayLike<number>,
  changes: SummaryRequest["changes"],
): number[] {
  const changed = Array.from(logits);
  for (const { token, divisor, added } of changes) {
    const logit = changed[token]!;
    changed[token] = (logit > 0 ? logit / divisor : logit * divisor) + added;
  }
  return changed;
}

function logSumOf(logits: readonly number[]): number {
  const max = Math.max(...logits);
  return max +
    Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
}

/** The first token by whose end more than `fraction` of the mass has passed. */
function tokenAt(logits: readonly number[], fraction: number): number {
  const logSum = logSumOf(logits);
  let left = fraction;
  const token = logits.findIndex((logit) =>
    (left -= Math.exp(logit - logSum)) < 0
  );
  return token >= 0
    ? token
    : logits.findLastIndex((logit) => logit > -Infinity);
}
