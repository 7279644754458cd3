import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  createSampler,
  type Logprobs,
  type Sampler,
  type SamplerOptions,
  SUMMARY_TOKENS,
} from "../../lib/sampling/mod.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { naiveCandidates } from "./_naive.ts";
import { changeLogits, summarize } from "./_summarize.ts";

/** Chooses as a decoder whose logits are on a device does; `left` if all of them had to leave it. */
function sampleThere(sampler: Sampler, logits: Float32Array, named: number) {
  const request = sampler.request();
  const summary = request && summarize(logits, request);
  const sample = summary && sampler.fromSummary({
    ...summary,
    tokens: summary.tokens.subarray(0, named),
    logits: summary.logits.subarray(0, named),
  });
  return { request, sample: sample ?? sampler.sample(logits), left: !sample };
}

/** How logits are spread: ties are frequent where they are rounded to eighths. */
type Spread = "wide" | "eighths" | "peaked" | "flat";

function randomLogits(
  { size, spread, seed }: { size: number; spread: Spread; seed: number },
): Float32Array {
  const random = createRandom(seed);
  const scale = { wide: 3, eighths: 3, peaked: 12, flat: 0.1 }[spread];
  const logits = Float32Array.from({ length: size }, () => {
    if (random() < 0.05) return -Infinity;
    const normal = Math.sqrt(-2 * Math.log(1 - random())) *
      Math.cos(2 * Math.PI * random());
    return spread === "wide"
      ? normal * scale
      : Math.round(normal * scale * 8) / 8;
  });
  logits[Math.floor(random() * size)] = 1;
  return logits;
}

/** Shares that no sum of weights meets but by rounding. */
const shares = fc.integer({ min: 1, max: 998 }).map((n) =>
  n / 1000 + 3e-4 / Math.PI
);

const filters = {
  temperature: fc.constantFrom(0, 0.25, 0.7, 1, 1.5, 4),
  topK: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(1, 2, 40, 255, 256, 257, 9999) },
  ),
  topP: fc.oneof(fc.constantFrom(0, 1, 1), shares),
  minP: fc.oneof(fc.constantFrom(0, 0, 1), shares.map((p) => p ** 4)),
  seed: fc.nat(),
};

const logitsOf = fc.record({
  size: fc.constantFrom(3, 300, 5000),
  named: fc.constantFrom(1, 12, SUMMARY_TOKENS, SUMMARY_TOKENS),
  spread: fc.constantFrom<Spread>("wide", "eighths", "peaked", "flat"),
  seed: fc.nat(),
});

/** In eighths and powers of 2, so that an f32 holds each changed logit. */
const changes = {
  repetitionPenalty: fc.constantFrom(0.5, 1, 2, 4),
  presencePenalty: fc.integer({ min: -8, max: 8 }).map((n) => n / 8),
  frequencyPenalty: fc.integer({ min: -8, max: 8 }).map((n) => n / 8),
  logitBias: fc.array(
    fc.tuple(fc.nat(2), fc.integer({ min: -800, max: 800 }).map((n) => n / 8)),
  ).map((biases) => new Map(biases)),
};

function assertClose(actual: Logprobs | null, expected: Logprobs | null): void {
  const flat = (of: Logprobs | null) =>
    of ? [of.logprob, ...of.top.map(({ logprob }) => logprob)] : [];
  const tokens = (of: Logprobs | null) => of?.top.map(({ token }) => token);
  assertEquals(tokens(actual), tokens(expected));
  for (const [i, logprob] of flat(expected).entries()) {
    const other = flat(actual)[i]!;
    assert(
      other === logprob || Math.abs(other - logprob) < 1e-9,
      `${other}, not ${logprob}`,
    );
  }
}

/** Asserts that both ways give the same five tokens; gives for how many of them all logits had to leave the device. */
function assertSame(
  of: { size: number; named: number; spread: Spread; seed: number },
  options: SamplerOptions,
): number {
  const [here, there] = [
    createSampler(options, of.size),
    createSampler(options, of.size),
  ];
  let all = 0;
  for (let i = 0; i < 5; i++) {
    const logits = randomLogits({ ...of, seed: of.seed + i });
    const expected = here.sample(logits);
    const { request, sample, left } = sampleThere(there, logits, of.named);
    assertEquals(sample.token, expected.token);
    assertClose(sample.logprobs, expected.logprobs);
    const asked = Math.max(options.topLogprobs ?? 0, options.topK ?? 0);
    if (left && request && asked <= of.named) {
      const kept = naiveCandidates(
        changeLogits(logits, request.changes),
        options,
      );
      assert(kept.length >= of.named, `${kept.length} tokens are enough`);
    }
    if (left) all++;
    for (const sampler of [here, there]) sampler.accept(sample.token);
  }
  return all;
}

Deno.test("a summary gives the token that all logits give, whatever the filters", () => {
  let [choices, left] = [0, 0];
  const property = fc.property(
    logitsOf,
    fc.record(filters),
    (of, options) => {
      left += assertSame(of, options);
      choices += 5;
    },
  );
  fc.assert(property, { numRuns: 400, seed: 1 });
  assert(
    left > 0 && left < choices / 2,
    `${left} of ${choices} left the device`,
  );
});

Deno.test("a summary gives the token that all logits give, whatever is penalised or biased", () => {
  const exact = logitsOf.filter(({ spread }) => spread !== "wide");
  const options = fc.record({ ...filters, ...changes });
  const property = fc.property(exact, options, (of, options) => {
    assertSame(of, options);
  });
  fc.assert(property, { numRuns: 300, seed: 2 });
});

Deno.test("a summary gives the log probabilities that all logits give", () => {
  const options = fc.record({
    ...filters,
    topLogprobs: fc.constantFrom(0, 1, 3),
    logitBias: fc.constantFrom(undefined, new Map([[1, 2]])),
  });
  const property = fc.property(logitsOf, options, (of, options) => {
    assertSame(of, options);
  });
  fc.assert(property, { numRuns: 200, seed: 3 });
});

Deno.test("a choice takes one random number, however often it is asked for", () => {
  const logits = Float32Array.of(1, 2, 3);
  const sampler = createSampler({ seed: 7 }, 3);
  const fractionOf = () => sampler.request()!.fraction;
  const random = createRandom(7);
  for (let i = 0; i < 3; i++) {
    const expected = random();
    assertEquals([fractionOf(), fractionOf()], [expected, expected]);
    if (i === 0) sampler.sample(logits);
    else sampler.fromSummary(summarize(logits, sampler.request()!));
  }
});

Deno.test("top-p of what top-k leaves is not known where fewer tokens are named", () => {
  const logits = Float32Array.of(5, 4, 3, 2);
  for (const [topK, enough] of [[2, true], [3, false]] as const) {
    const sampler = createSampler({ topK, topP: 0.1 }, 4);
    const summary = summarize(logits, sampler.request()!);
    const named = {
      ...summary,
      tokens: summary.tokens.subarray(0, 2),
      logits: summary.logits.subarray(0, 2),
    };
    assertEquals(sampler.fromSummary(named) !== null, enough);
  }
});

Deno.test("what is not enough keeps the choice's random number", () => {
  const logits = Float32Array.from({ length: 1000 }, (_, i) => i / 1000);
  const sampler = createSampler({ seed: 7, topP: 0.9 }, 1000);
  const request = sampler.request()!;
  assertEquals(sampler.fromSummary(summarize(logits, request)), null);
  assertEquals(sampler.request(), request);
  assertEquals(
    sampler.sample(logits),
    createSampler({ seed: 7, topP: 0.9 }, 1000).sample(logits),
  );
});

Deno.test("temperature 0 asks for what any temperature does, and takes no random number", () => {
  const sampler = createSampler({ temperature: 0, topK: 9999 }, 3);
  assertEquals(sampler.request(), { temperature: 1, fraction: 0, changes: [] });
});

Deno.test("a device changes each token's logit once, all penalties and the bias together", () => {
  const sampler = createSampler({
    temperature: 0.5,
    repetitionPenalty: 2,
    presencePenalty: 1,
    frequencyPenalty: 0.25,
    logitBias: new Map([[3, 8], [4, -8]]),
  }, 9);
  sampler.observePrompt([1, 2, 1]);
  for (const token of [2, 2, 3]) sampler.accept(token);
  const changes = sampler.request()!.changes.toSorted((a, b) =>
    a.token - b.token
  );
  assertEquals(changes, [
    { token: 1, divisor: 2, added: 0 },
    { token: 2, divisor: 2, added: -1.5 },
    { token: 3, divisor: 2, added: 6.75 },
    { token: 4, divisor: 1, added: -8 },
  ]);
});

Deno.test("nothing is asked of a device where only all logits will do", () => {
  const biased = { topLogprobs: 0, logitBias: new Map([[0, 1]]) };
  assertEquals(createSampler(biased, 9).request(), null);
  assertEquals(createSampler({ topK: 257 }, 999).request(), null);
  assert(createSampler({ topK: 256 }, 999).request());
  const logits = new Float32Array(999);
  const many = createSampler({ topLogprobs: 257 }, 999);
  const summary = summarize(logits, many.request()!);
  assertEquals(many.fromSummary(summary), null);
  assertEquals(many.sample(logits).logprobs!.top.length, 257);
});

Deno.test("a summary that is no distribution gives no token, and all logits tell why", () => {
  for (const temperature of [0, 1]) {
    for (const bad of [NaN, Infinity]) {
      const logits = Float32Array.of(1, bad, 2);
      const sampler = createSampler({ temperature }, 3);
      const summary = summarize(logits, sampler.request()!);
      assertEquals(sampler.fromSummary(summary), null);
      assertThrows(() => sampler.sample(logits), RangeError, `${bad}`);
    }
    const none = new Float32Array(3).fill(-Infinity);
    const sampler = createSampler({ temperature }, 3);
    const summary = summarize(none, sampler.request()!);
    assertEquals(sampler.fromSummary(summary), null);
    assertThrows(() => sampler.sample(none), RangeError, "every token");
  }
});
