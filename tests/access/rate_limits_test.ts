import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Allowance, RateLimiter } from "../../lib/access/rate_limits.ts";

const NONE = { requests: 0, tokens: 0, streams: 0 };

function clocked(limits: Partial<typeof NONE>) {
  const clock = { now: 0 };
  const allowance = new Allowance({ ...NONE, ...limits }, () => clock.now);
  return { clock, allowance };
}

Deno.test("limits: requests come back one by one, and one refused costs nothing", () => {
  const { clock, allowance } = clocked({ requests: 3 });
  for (let i = 0; i < 3; i++) assertEquals(allowance.begin(), null);
  for (let i = 0; i < 5; i++) {
    assertEquals(allowance.begin(), { limit: "requests", retryAfter: 20 });
  }
  clock.now = 19.5;
  assertEquals(allowance.begin(), { limit: "requests", retryAfter: 1 });
  clock.now = 20;
  assertEquals(allowance.begin(), null);
  assertEquals(allowance.begin(), { limit: "requests", retryAfter: 20 });
});

Deno.test("limits: an answer may cost more tokens than there are, and is paid for before the next", () => {
  const { clock, allowance } = clocked({ tokens: 60 });
  assertEquals(allowance.begin(), null);
  allowance.spend(100);
  assertEquals(allowance.standing("tokens"), {
    limit: 60,
    remaining: 0,
    reset: 100,
  });
  assertEquals(allowance.begin(), { limit: "tokens", retryAfter: 41 });
  clock.now = 41;
  assertEquals(allowance.begin(), null);
});

Deno.test("limits: as many streams as allowed at a time", () => {
  const { allowance } = clocked({ streams: 2 });
  assertEquals([allowance.begin(), allowance.begin()], [null, null]);
  assertEquals(allowance.begin(), { limit: "streams", retryAfter: 1 });
  allowance.end();
  assertEquals(allowance.begin(), null);
  assertEquals(allowance.begin()?.limit, "streams");
});

Deno.test("limits: what is 0 has no limit and no standing", () => {
  const { allowance } = clocked({});
  for (let i = 0; i < 1000; i++) {
    assertEquals(allowance.begin(), null);
    allowance.spend(1_000_000);
  }
  assertEquals(allowance.standing("requests"), null);
  assertEquals(allowance.standing("tokens"), null);
});

Deno.test("limits: a few clients are remembered of however many come, and those with requests always", () => {
  fc.assert(fc.property(fc.array(fc.nat(200), { maxLength: 300 }), (ids) => {
    const limiter = new RateLimiter({ ...NONE, streams: 1 }, {
      now: () => 0,
      most: 8,
    });
    const busy = limiter.of("busy");
    assertEquals(busy.begin(), null);
    for (const id of ids) limiter.of(`${id}`);
    assert(limiter.size <= 8);
    assert(limiter.of("busy") === busy);
  }));
});

Deno.test("limits: the client that asked longest ago is forgotten first", () => {
  const limiter = new RateLimiter({ ...NONE, requests: 1 }, { most: 2 });
  const [a, b] = [limiter.of("a"), limiter.of("b")];
  assert(limiter.of("b") === b);
  assert(limiter.of("a") === a);
  limiter.of("c");
  assert(limiter.of("a") === a);
  assert(limiter.of("b") !== b);
});
