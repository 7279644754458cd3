import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { TokenBucket } from "../../lib/access/token_bucket.ts";

const steps = fc.array(
  fc.record({
    pause: fc.double({ min: 0, max: 90, noNaN: true }),
    amount: fc.integer({ min: 0, max: 500 }),
  }),
  { maxLength: 40 },
);
const perMinute = fc.integer({ min: 1, max: 1_000 });

Deno.test("a bucket that is only spent from when it has enough gives no more than it holds and gets back", () => {
  fc.assert(fc.property(perMinute, steps, (perMinute, steps) => {
    const bucket = new TokenBucket(perMinute, 0);
    let now = 0;
    let spent = 0;
    for (const { pause, amount } of steps) {
      now += pause;
      const level = bucket.level(now);
      assert(level >= -1e-6 && level <= perMinute);
      if (bucket.secondsUntil(amount, now) > 0) continue;
      bucket.spend(amount, now);
      spent += amount;
    }
    assert(spent <= perMinute * (1 + now / 60) + 1e-3);
  }));
});

Deno.test("a bucket has what is asked for after the time it tells, and not before", () => {
  fc.assert(fc.property(perMinute, steps, (perMinute, steps) => {
    const bucket = new TokenBucket(perMinute, 0);
    let now = 0;
    for (const { pause, amount } of steps) {
      now += pause;
      bucket.spend(amount, now); // debts included
      const wait = bucket.secondsUntil(1, now);
      assertEquals(bucket.secondsUntil(1, now + wait), 0);
      if (wait > 0.01) assert(bucket.secondsUntil(1, now + wait * 0.9) > 0);
      const full = bucket.secondsUntilFull(now);
      assertAlmostEquals(bucket.level(now + full), perMinute, 1e-3);
    }
  }));
});

Deno.test("a bucket does not care into how many steps time is cut", () => {
  fc.assert(fc.property(perMinute, steps, (perMinute, steps) => {
    const [cut, whole] = [0, 0].map((t) => new TokenBucket(perMinute, t));
    for (const bucket of [cut!, whole!]) bucket.spend(perMinute * 3, 0);
    let now = 0;
    for (const { pause } of steps) cut!.spend(0, now += pause);
    assertAlmostEquals(cut!.level(now), whole!.level(now), perMinute * 1e-9);
  }));
});

Deno.test("a bucket: what it can never hold never comes, and a clock that goes back changes nothing", () => {
  const bucket = new TokenBucket(60, 100);
  assertEquals(bucket.secondsUntil(61, 100), Infinity);
  bucket.spend(60, 100);
  assertEquals(bucket.level(50), 0);
  bucket.spend(0, 50);
  assertEquals(bucket.level(101), 1);
});
