import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import {
  createSampler,
  logprobs,
  type SamplerOptions,
  type SamplingOptions,
} from "../../lib/sampling/mod.ts";
import { naiveCandidates, total } from "./_naive.ts";

/** `count` tokens from the same logits, not accepted. */
function draw(
  logits: readonly number[],
  options: SamplingOptions,
  count: number,
): number[] {
  const sampler = createSampler(options, logits.length);
  const array = Float32Array.from(logits);
  return Array.from({ length: count }, () => sampler.sample(array).token);
}

/** The token that a greedy sampler picks after these calls. */
function greedy(
  logits: readonly number[],
  options: SamplingOptions,
  context: { prompt?: number[]; answer?: number[] } = {},
): number {
  const sampler = createSampler({ temperature: 0, ...options }, logits.length);
  sampler.observePrompt(context.prompt ?? []);
  for (const token of context.answer ?? []) sampler.accept(token);
  return sampler.sample(Float32Array.from(logits)).token;
}

const LOGITS = [1.5, 0.2, -1, 2, 1.9, -0.3, 0.7, -4];

Deno.test("frequencies are the reference's probabilities (chi-square)", () => {
  const cases: SamplingOptions[] = [
    {},
    { temperature: 0.6 },
    { temperature: 2 },
    { topK: 4 },
    { topP: 0.8 },
    { minP: 0.2 },
    { temperature: 1.3, topK: 6, topP: 0.95, minP: 0.05 },
  ];
  const n = 20_000;
  for (const options of cases) {
    const naive = naiveCandidates(LOGITS.map(Math.fround), options);
    const counts = new Map<number, number>();
    for (const token of draw(LOGITS, { ...options, seed: 11 }, n)) {
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    let chi2 = 0;
    for (const { token, weight } of naive) {
      const expected = (n * weight) / total(naive);
      chi2 += ((counts.get(token) ?? 0) - expected) ** 2 / expected;
      counts.delete(token);
    }
    assertEquals(
      counts.size,
      0,
      `tokens outside of the reference: ${[...counts.keys()]}`,
    );
    assert(
      chi2 < 29.9,
      `${
        JSON.stringify(options)
      }: chi-square ${chi2}, 99.99th percentile of 7 is 29.9`,
    );
  }
});

Deno.test("the same seed, logits and options give the same tokens", () => {
  const options = { temperature: 1.2, topP: 0.9, seed: 3 };
  assertEquals(draw(LOGITS, options, 50), draw(LOGITS, options, 50));
  assertNotEquals(
    draw(LOGITS, options, 50),
    draw(LOGITS, { ...options, seed: 4 }, 50),
  );
  assertNotEquals(
    draw(LOGITS, { temperature: 2 }, 50),
    draw(LOGITS, { temperature: 2 }, 50),
  );
});

Deno.test("samplers that take turns do not disturb each other", () => {
  const logits = Float32Array.from(LOGITS);
  const a = createSampler({ seed: 1 }, 8);
  const b = createSampler({ seed: 2, repetitionPenalty: 2 }, 8);
  b.accept(3);
  const turns = Array.from(
    { length: 20 },
    () => [a.sample(logits).token, b.sample(logits).token],
  );
  assertEquals(turns.map((t) => t[0]), draw(LOGITS, { seed: 1 }, 20));
});

Deno.test("sampling leaves the logits as they were", () => {
  const logits = Float32Array.from(LOGITS);
  const sampler = createSampler({
    repetitionPenalty: 2,
    logitBias: new Map([[0, 5]]),
  }, 8);
  sampler.accept(3);
  sampler.sample(logits);
  assertEquals(logits, Float32Array.from(LOGITS));
});

Deno.test("log probabilities are told if asked for, under the raw distribution", () => {
  const logits = Float32Array.from(LOGITS);
  const options = { temperature: 0, logitBias: new Map([[6, 9]]) };
  assertEquals(createSampler(options, 8).sample(logits), {
    token: 6,
    logprobs: null,
  });
  for (const topLogprobs of [0, 3]) {
    const sampler = createSampler({ ...options, topLogprobs }, 8);
    assertEquals(sampler.sample(logits), {
      token: 6,
      logprobs: logprobs(logits, 6, topLogprobs),
    });
  }
});

Deno.test("temperature 0 takes the largest logit, of equals the lowest id, whatever the filters", () => {
  assertEquals(greedy([1, 3, 3, 2], {}), 1);
  assertEquals(greedy([-5, -2, -2], { topK: 3, topP: 0.1, minP: 0.9 }), 1);
});

Deno.test("the repetition penalty divides positive logits and multiplies negative ones, once a token", () => {
  const context = { prompt: [0, 0, 0], answer: [0] };
  assertEquals(greedy([3, 1.4], { repetitionPenalty: 2 }, context), 0); // 3 / 2 > 1.4
  assertEquals(greedy([3, 1.6], { repetitionPenalty: 2 }, context), 1);
  assertEquals(greedy([-1, -1.9], { repetitionPenalty: 2 }, context), 1); // -1 × 2 < -1.9
  assertEquals(greedy([-1, -2.1], { repetitionPenalty: 2 }, context), 0);
});

Deno.test("the presence penalty is taken once, for answer tokens only", () => {
  const options = { presencePenalty: 1 };
  assertEquals(greedy([3, 2.5], options, { prompt: [0] }), 0);
  assertEquals(greedy([3, 2.5], options, { answer: [0] }), 1);
  assertEquals(greedy([3, 1.9], options, { answer: [0, 0, 0] }), 0);
});

Deno.test("the frequency penalty is taken for each time, for answer tokens only", () => {
  const options = { frequencyPenalty: 1 };
  assertEquals(greedy([3, 1.5], options, { prompt: [0, 0] }), 0);
  assertEquals(greedy([3, 1.5], options, { answer: [0] }), 0);
  assertEquals(greedy([3, 1.5], options, { answer: [0, 0] }), 1);
});

Deno.test("the order is repetition penalty, then the others, then the bias", () => {
  // 4 / 2 - 1 + 4 = 5; the penalty after either or both of the others gives 5.5, 3 or 3.5.
  const options = {
    repetitionPenalty: 2,
    presencePenalty: 1,
    logitBias: new Map([[0, 4]]),
  };
  const context = { answer: [0] };
  assertEquals(greedy([4, 4.9], options, context), 0);
  assertEquals(greedy([4, 5.1], options, context), 1);
});

Deno.test("a bias is added; -100 bans a token of usual logits and 100 forces one", () => {
  assertEquals(greedy([1, 2], { logitBias: new Map([[0, 1.5]]) }), 0);
  const banned = draw(
    [20, 0, 0],
    { logitBias: new Map([[0, -100]]), seed: 1 },
    300,
  );
  assert(!banned.includes(0));
  const forced = draw(
    [20, 0, 0],
    { logitBias: new Map([[2, 100]]), seed: 1 },
    300,
  );
  assertEquals(new Set(forced), new Set([2]));
});

Deno.test("a token of -Infinity is never chosen, at any temperature", () => {
  for (const temperature of [0, 1e-300, 1, 1e308]) {
    const tokens = draw(
      [-Infinity, 0, -Infinity, -1],
      { temperature, seed: 2 },
      200,
    );
    assert(tokens.every((t) => t === 1 || t === 3));
  }
});

Deno.test("a vocabulary of one token gives that token", () => {
  for (
    const options of [{}, { temperature: 0 }, { topK: 1 }, { topP: 0 }, {
      minP: 1,
    }]
  ) {
    assertEquals(draw([-7], options, 3), [0, 0, 0]);
  }
});

Deno.test("a failed step never becomes a token", () => {
  for (const temperature of [0, 1]) {
    const sampler = createSampler({ temperature }, 3);
    assertThrows(
      () => sampler.sample(Float32Array.of(1, NaN, 2)),
      RangeError,
      "NaN",
    );
    assertThrows(
      () => sampler.sample(Float32Array.of(NaN, NaN, NaN)),
      RangeError,
      "NaN",
    );
    assertThrows(
      () => sampler.sample(Float32Array.of(1, Infinity, 2)),
      RangeError,
      "Infinity",
    );
    const none = new Float32Array(3).fill(-Infinity);
    assertThrows(() => sampler.sample(none), RangeError, "every token");
    assertThrows(
      () => sampler.sample(Float32Array.of(1, 2)),
      TypeError,
      "length is 2",
    );
  }
});

Deno.test("a token outside of the vocabulary is refused, and nothing of its prompt counts", () => {
  const sampler = createSampler({ temperature: 0, repetitionPenalty: 10 }, 2);
  for (const token of [2, -1, 0.5, NaN]) {
    assertThrows(() => sampler.accept(token), RangeError, "vocabulary of 2");
    assertThrows(
      () => sampler.observePrompt([0, token]),
      RangeError,
      "vocabulary of 2",
    );
  }
  assertEquals(sampler.sample(Float32Array.of(2, 1)).token, 0);
});

Deno.test("an option out of its range is refused by name", () => {
  const bad: [keyof SamplerOptions, number[]][] = [
    ["temperature", [-0.1, NaN, Infinity]],
    ["topK", [-1, 1.5, NaN]],
    ["topP", [-0.1, 1.1, NaN]],
    ["minP", [-0.1, 1.1, NaN]],
    ["repetitionPenalty", [0, -1, Infinity, NaN]],
    ["presencePenalty", [NaN, Infinity]],
    ["frequencyPenalty", [NaN, -Infinity]],
    ["seed", [0.5, NaN]],
    ["topLogprobs", [-1, 1.5, NaN, 5]],
  ];
  for (const [name, values] of bad) {
    for (const value of values) {
      assertThrows(() => createSampler({ [name]: value }, 4), RangeError, name);
    }
  }
  for (const bias of [-101, 101, NaN]) {
    assertThrows(
      () => createSampler({ logitBias: new Map([[0, bias]]) }, 4),
      RangeError,
      "logitBias",
    );
  }
  assertThrows(
    () => createSampler({ logitBias: new Map([[4, 1]]) }, 4),
    RangeError,
    "token",
  );
  assertThrows(() => createSampler({}, 0), RangeError, "vocabularySize");
});
