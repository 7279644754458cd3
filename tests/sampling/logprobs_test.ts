import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { logprobs } from "../../lib/sampling/mod.ts";

Deno.test("logprobs are those of a naive log-softmax, the likeliest first, of equals by id", () => {
  const lists = fc.array(
    fc.oneof(
      fc.float({ min: -60, max: 60, noNaN: true }),
      fc.constantFrom(-Infinity, 1, 2),
    ),
    { minLength: 1, maxLength: 80 },
  );
  fc.assert(fc.property(lists, fc.nat(), fc.nat(), (list, a, b) => {
    const logits = Float32Array.from([...list, 0]);
    const token = a % logits.length;
    const top = b % (logits.length + 1);
    const max = Math.max(...logits);
    const sum = logits.reduce((s, x) => s + Math.exp(x - max), 0);
    const naive = Array.from(
      logits,
      (x, id) => ({ token: id, logprob: x - max - Math.log(sum) }),
    )
      .toSorted((x, y) =>
        logits[y.token]! - logits[x.token]! || x.token - y.token
      );
    const mine = logprobs(logits, token, top);
    assertEquals(
      mine.top.map((t) => t.token),
      naive.slice(0, top).map((t) => t.token),
    );
    const pairs = [[
      mine.logprob,
      naive.find((t) => t.token === token)!.logprob,
    ]];
    mine.top.forEach((t, i) => pairs.push([t.logprob, naive[i]!.logprob]));
    for (const [x, y] of pairs) {
      assert(x === y || Math.abs(x! - y!) < 1e-12, `${x} is not ${y}`);
    }
  }));
});

Deno.test("logprobs refuse what is no distribution, no token or no count", () => {
  const logits = Float32Array.of(1, 2);
  assertThrows(
    () => logprobs(Float32Array.of(1, NaN), 0, 1),
    RangeError,
    "NaN",
  );
  assertThrows(
    () => logprobs(Float32Array.of(-Infinity), 0, 1),
    RangeError,
    "every token",
  );
  assertThrows(() => logprobs(logits, 2, 1), RangeError, "token");
  assertThrows(() => logprobs(logits, 0, 3), RangeError, "top");
  assertThrows(() => logprobs(logits, 0, -1), RangeError, "top");
});
