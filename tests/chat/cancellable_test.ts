import { assertEquals, assertRejects } from "@std/assert";
import { cancellable } from "../../lib/chat/cancellable.ts";

/** Waits until it is aborted. */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

Deno.test("a generator that is not cancelled is as it was", async () => {
  const numbers = cancellable(async function* (signal) {
    yield 1;
    yield 2;
    assertEquals(signal.aborted, false);
  });
  assertEquals(await Array.fromAsync(numbers), [1, 2]);
  assertEquals(await numbers.next(), { done: true, value: undefined });
});

Deno.test("nothing runs before the first next, and nothing at all after an early return", async () => {
  let ran = false;
  const numbers = cancellable(async function* () {
    ran = true;
    yield 1;
  });
  await Promise.resolve();
  assertEquals(ran, false);
  assertEquals(await numbers.return(), { done: true, value: undefined });
  assertEquals(await numbers.next(), { done: true, value: undefined });
  assertEquals(ran, false);
});

Deno.test("return ends a wait at once, runs finally blocks, and ends the pending next", async () => {
  let cleaned = false;
  const numbers = cancellable<number>(async function* (signal) {
    try {
      yield 1;
      await forever(signal);
    } finally {
      cleaned = true;
    }
  });
  await numbers.next();
  const pending = numbers.next();
  await numbers.return();
  assertEquals(await pending, { done: true, value: undefined });
  assertEquals(cleaned, true);
});

Deno.test("break and await using abort the signal", async () => {
  const signals: AbortSignal[] = [];
  const open = () =>
    cancellable<number>(async function* (signal) {
      signals.push(signal);
      for (let i = 0;; i++) yield i;
    });
  for await (const number of open()) if (number === 2) break;
  {
    await using numbers = open();
    await numbers.next();
  }
  assertEquals(signals.map((signal) => signal.aborted), [true, true]);
});

Deno.test("an error of the generator reaches the caller unless it was cancelled", async () => {
  const fails = cancellable<number>(async function* () {
    yield 1;
    throw new Error("broke");
  });
  await fails.next();
  await assertRejects(() => fails.next(), Error, "broke");
  assertEquals(await fails.next(), { done: true, value: undefined });
});
