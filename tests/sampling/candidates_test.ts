import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Candidates } from "../../lib/sampling/candidates.ts";
import type { SamplingOptions } from "../../lib/sampling/options.ts";
import { naiveCandidates, total } from "./_naive.ts";

function candidatesOf(
  logits: readonly number[],
  options: SamplingOptions,
): Candidates {
  const candidates = new Candidates(logits.length);
  const max = Math.max(...logits);
  candidates.fill(Float64Array.from(logits), {
    max,
    temperature: options.temperature ?? 1,
  });
  candidates.keepTopK(options.topK ?? 0);
  candidates.keepTopP(options.topP ?? 1);
  candidates.keepMinP(options.minP ?? 0);
  return candidates;
}

function kept(candidates: Candidates): Map<number, number> {
  const { ids, weights, size } = candidates;
  return new Map(
    Array.from(ids.subarray(0, size), (id, i) => [id, weights[i]!]),
  );
}

/** Logits with many ties and some forbidden tokens, at least one allowed. */
const logitsLists = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.double({ min: -15, max: 15, noNaN: true }).map(Math.fround),
    },
    { weight: 3, arbitrary: fc.integer({ min: -3, max: 3 }) },
    { weight: 1, arbitrary: fc.constant(-Infinity) },
  ),
  { minLength: 1, maxLength: 600, size: "max" },
).map((logits) => [...logits, 0.5]);

const optionSets = fc.record({
  temperature: fc.double({ min: 0.05, max: 8, noNaN: true }),
  topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 700 })),
  topP: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
});

Deno.test("candidates and their probabilities are those of the naive reference", () => {
  fc.assert(
    fc.property(logitsLists, optionSets, (logits, options) => {
      const naive = naiveCandidates(logits, options);
      const candidates = candidatesOf(logits, options);
      const mine = kept(candidates);
      const mass = total(naive);
      const negligible = 2 ** -52 * mass;
      for (const { token, weight } of naive) {
        if (weight < negligible) continue;
        // Where a sum meets top-p or a weight meets min-p within rounding, one token may fall on either side.
        if (!mine.has(token) && isBoundary(naive, token)) continue;
        assert(
          mine.has(token),
          `token ${token} of weight ${weight} is missing`,
        );
        const p = mine.get(token)! / candidates.mass;
        assert(
          Math.abs(p - weight / mass) < 1e-12,
          `token ${token}: ${p}, not ${weight / mass}`,
        );
      }
      assert(
        mine.size <= naive.length,
        `${mine.size} candidates, not ${naive.length}`,
      );
    }),
    { numRuns: 300, seed: 1 },
  );
});

/** Whether the token is the last one of the reference, which rounding may exclude. */
function isBoundary(
  naive: readonly { token: number }[],
  token: number,
): boolean {
  return naive.at(-1)?.token === token && naive.length > 1;
}

Deno.test("the order is temperature, then top-p: heat lets more tokens in", () => {
  // softmax is 0.88, 0.12: at temperature 1 the first holds 0.8 of the mass alone, at 4 it needs the second.
  const logits = [2, 0];
  assertEquals(candidatesOf(logits, { temperature: 1, topP: 0.8 }).size, 1);
  assertEquals(candidatesOf(logits, { temperature: 4, topP: 0.8 }).size, 2);
});

Deno.test("the order is top-k, then top-p: the share is of what top-k left", () => {
  // Four equal tokens: half of all is two of them, half of the two that top-k keeps is one.
  assertEquals([
    ...kept(candidatesOf([0, 0, 0, 0], { topK: 2, topP: 0.5 })).keys(),
  ], [0]);
});

Deno.test("of equally likely tokens the lowest ids are kept", () => {
  const logits = [1, 3, 1, 3, 1, 1];
  assertEquals([...kept(candidatesOf(logits, { topK: 4 })).keys()], [
    0,
    1,
    2,
    3,
  ]);
  assertEquals([...kept(candidatesOf(logits, { topK: 1 })).keys()], [1]);
  assertEquals([...kept(candidatesOf(logits, { topP: 1e-9 })).keys()], [1]);
  const equal = new Array<number>(1000).fill(2);
  assertEquals([...kept(candidatesOf(equal, { topK: 3 })).keys()], [0, 1, 2]);
  for (const topP of [0, 1e-9]) {
    assertEquals([...kept(candidatesOf(equal, { topP })).keys()], [0]);
  }
});

Deno.test("the narrowest options keep one token, of large vocabularies too", () => {
  for (const n of [1, 2, 1000]) {
    const logits = Array.from({ length: n }, (_, i) => (i * 7) % n);
    const best = [logits.indexOf(n - 1)];
    for (
      const options of [{ topK: 1 }, { topP: 0 }, { topP: 1e-300 }, { minP: 1 }]
    ) {
      assertEquals([...kept(candidatesOf(logits, options)).keys()], best);
    }
  }
});

Deno.test("a huge temperature makes all allowed tokens equally likely", () => {
  const candidates = candidatesOf([-30, 30, -Infinity, 0], {
    temperature: 1e308,
  });
  assertEquals([...kept(candidates)], [[0, 1], [1, 1], [3, 1]]);
});

Deno.test("a tiny temperature leaves the largest logit", () => {
  for (const temperature of [5e-324, 1e-300, 2 ** -58, 1e-9]) {
    const candidates = candidatesOf([1, 1 + 2 ** -52, 0.5], { temperature });
    assert(candidates.ids.subarray(0, candidates.size).includes(1));
    assert(
      Number.isFinite(candidates.mass),
      `mass ${candidates.mass} at ${temperature}`,
    );
  }
});

Deno.test("a fraction of the mass falls on the token that covers it", () => {
  const candidates = candidatesOf([Math.log(1), Math.log(2), Math.log(1)], {});
  const tokens = [0, 0.24, 0.26, 0.74, 0.76, 1 - 2 ** -53].map((f) =>
    candidates.at(f)
  );
  assertEquals(tokens, [0, 0, 1, 1, 2, 2]);
});
