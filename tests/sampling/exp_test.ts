import { assert, assertEquals } from "@std/assert";
import { EXP_NEGATIVE_LIMIT, expNegative } from "../../lib/sampling/exp.ts";

Deno.test("expNegative is Math.exp within 1e-15 over its whole range", () => {
  let worst = 0;
  for (let i = 0; i <= 200_000; i++) {
    const d = (i / 200_000) * EXP_NEGATIVE_LIMIT;
    worst = Math.max(worst, Math.abs(expNegative(d) / Math.exp(-d) - 1));
  }
  assert(worst < 1e-15, `off by ${worst}`);
});

Deno.test("expNegative of 0 is exactly 1", () =>
  assertEquals(expNegative(0), 1));
