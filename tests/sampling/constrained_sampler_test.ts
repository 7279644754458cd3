import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ConstrainedSampler,
  createSampler,
  logprobs,
  type TokenMask,
} from "../../lib/sampling/mod.ts";

const LOGITS = Float32Array.of(1, 5, 2, 4, -3);

/** A mask of these tokens. */
function only(...tokens: number[]): TokenMask {
  return Int32Array.of(tokens.reduce((bits, token) => bits | 1 << token, 0));
}

Deno.test("a masked token is never chosen, whatever the options", () => {
  for (
    const options of [{ temperature: 0 }, { temperature: 2 }, { topK: 1 }, {
      topP: 0.1,
    }, { minP: 1 }]
  ) {
    const sampler = createSampler({
      ...options,
      logitBias: new Map([[1, 100]]),
      repetitionPenalty: 1.5,
      seed: 1,
    }, LOGITS.length);
    sampler.observePrompt([0, 1, 2]);
    for (let i = 0; i < 50; i++) {
      const { token } = sampler.sample(LOGITS, only(0, 2, 4));
      assert([0, 2, 4].includes(token), `${token}`);
    }
  }
});

Deno.test("log probabilities under a mask are those of all tokens", () => {
  const sampler = createSampler(
    { temperature: 0, topLogprobs: 2 },
    LOGITS.length,
  );
  const sample = sampler.sample(LOGITS, only(2, 4));
  assertEquals(sample, { token: 2, logprobs: logprobs(LOGITS, 2, 2) });
  assertEquals(sample.logprobs!.top.map(({ token }) => token), [1, 3]);
});

Deno.test("a mask that ends before the vocabulary allows nothing beyond; one without tokens is an error", () => {
  const sampler = createSampler({ temperature: 0 }, 40);
  const logits = new Float32Array(40).fill(0);
  logits[39] = 9;
  assertEquals(sampler.sample(logits, only(3)).token, 3);
  assertThrows(() => sampler.sample(logits, only()), RangeError, "-Infinity");
});

Deno.test("a constrained sampler takes the logits at once, and chooses when the mask is there", async () => {
  const masks = [
    Promise.withResolvers<TokenMask>(),
    Promise.withResolvers<TokenMask>(),
  ];
  const accepted: number[] = [];
  const sampler = new ConstrainedSampler(
    createSampler({ temperature: 0, presencePenalty: 2 }, LOGITS.length),
    {
      mask: () => masks[accepted.length]!.promise,
      accept: (token) => void accepted.push(token),
    },
  );
  assertEquals(sampler.request(), null); // all logits, of a device too
  const logits = LOGITS.slice();
  sampler.sample(logits);
  logits.fill(0); // the run's memory is the run's
  const chosen = sampler.choose();
  masks[0]!.resolve(only(2, 3));
  assertEquals((await chosen).token, 3);
  sampler.accept(3);
  assertEquals(accepted, [3]);
  masks[1]!.resolve(only(0, 3, 4));
  sampler.sample(LOGITS);
  assertEquals((await sampler.choose()).token, 3); // 4 - 2 is still the most
});
