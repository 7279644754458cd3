import { assert, assertAlmostEquals, assertThrows } from "@std/assert";
import { assertEquals } from "@std/assert";
import {
  divergence,
  referencesOf,
  summarize,
} from "../../../bench/lab/distributions.ts";
import {
  drift,
  estimate,
  perplexity,
  perplexityRatio,
  stretches,
} from "../../../bench/lab/series.ts";
import { stepEdge } from "../../../bench/lab/step_edge.ts";
import { klDivergence, logSumExp } from "../../../bench/statistics.ts";
import { mulberry32 } from "../../reference/small_model.ts";

/** Rows of logits, uniform in ±8. */
function logitsOf(rows: number, vocabulary: number, seed: number) {
  const random = mulberry32(seed);
  return Float32Array.from(
    { length: rows * vocabulary },
    () => 16 * random() - 8,
  );
}

Deno.test("rows of logits are summarised each by itself", () => {
  const logits = logitsOf(5, 33, 1);
  for (const [i, row] of summarize(logits, 33).entries()) {
    const values = logits.subarray(i * 33, (i + 1) * 33);
    assertAlmostEquals(row.logSumExp, logSumExp(values), 1e-12);
    assertEquals(values[row.top], Math.max(...values));
  }
});

Deno.test("a divergence from a reference is KL by its definition", () => {
  const [one, other] = [logitsOf(4, 50, 2), logitsOf(4, 50, 3)];
  const summaries = summarize(other, 50);
  for (const [i, reference] of referencesOf(one, 50).entries()) {
    const row = other.subarray(i * 50, (i + 1) * 50);
    const found = divergence(reference, row, summaries[i]!);
    const expected = klDivergence(one.subarray(i * 50, (i + 1) * 50), row);
    assert(expected > 0.1);
    assertAlmostEquals(found, expected, 1e-9);
  }
  const same = summarize(one, 50)[0]!;
  const [reference] = referencesOf(one, 50);
  assertAlmostEquals(
    divergence(reference!, one.subarray(0, 50), same),
    0,
    1e-9,
  );
});

Deno.test("perplexity is the inverse of the probabilities' geometric mean", () => {
  const losses = [0.5, 0.25, 0.125].map((p) => -Math.log(p));
  assertAlmostEquals(perplexity(losses), 4, 1e-12);
  assertThrows(() => perplexity([]), RangeError, "no losses");
});

Deno.test("a mean's standard error is that of the textbook", () => {
  const { mean, standardError } = estimate([2, 4, 4, 4, 5, 5, 7, 9]);
  assertEquals(mean, 5);
  assertAlmostEquals(standardError, Math.sqrt(32 / 7 / 8), 1e-12);
  assertEquals(estimate([3]), { mean: 3, standardError: 0 });
});

Deno.test("stretches do not overlap and leave out a short last one", () => {
  const total = (values: readonly number[]) =>
    values.reduce((a, b) => a + b, 0);
  assertEquals(stretches([1, 2, 3, 4, 5, 6, 7], 3, total), [6, 15]);
  assertEquals(stretches([1, 2], 3, total), []);
});

Deno.test("a ratio of perplexities is taken token by token", () => {
  const [losses, others] = [[1, 2, 4], [1.5, 1.5, 3.5]];
  const { tokens, ratio, standardError } = perplexityRatio(losses, others);
  assertEquals(tokens, 3);
  assertAlmostEquals(ratio, perplexity(losses) / perplexity(others), 1e-12);
  const error = estimate([-0.5, 0.5, 0.5]).standardError;
  assertAlmostEquals(standardError, ratio * error, 1e-12);
  assertThrows(() => perplexityRatio([1], [1, 2]), RangeError, "1 losses");
});

Deno.test("a drift is the slope of the differences, whatever the text does", () => {
  const positions = Array.from({ length: 200 }, (_, i) => 1000 + 64 * i);
  const random = mulberry32(4);
  const others = positions.map(() => 3 + random());
  const losses = others.map((loss, i) => loss + 0.2 + 1e-5 * positions[i]!);
  const found = drift(positions, losses, others);
  assertAlmostEquals(found.per10000, Math.exp(0.1), 1e-9);
  assert(found.standardError < 1e-9);
  const level = others.map((loss) => loss + 0.2 + 0.1 * (random() - 0.5));
  const none = drift(positions, level, others);
  assert(Math.abs(none.per10000 - 1) < 4 * none.standardError);
  assert(none.standardError > 0.001 && none.standardError < 0.1);
  assertThrows(() => drift([1, 2], [1, 2], [1, 2]), RangeError, "3 or more");
});

Deno.test("a step is found where it is, noise or not", () => {
  const distances = [8, 16, 24, 25, 26, 40];
  const edge = stepEdge(distances, [9, 10, 8, 9.5, -2, -3]);
  assertEquals([edge.last, edge.next], [25, 26]);
  assertAlmostEquals(edge.before, 9.125, 1e-12);
  assertAlmostEquals(edge.after, -2.5, 1e-12);
  assertThrows(() => stepEdge([1], [1]), RangeError, "1 values");
});
