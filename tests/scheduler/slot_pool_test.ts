import { assertEquals, assertRejects } from "@std/assert";
import { type Lease, SlotPool } from "../../lib/scheduler/slot_pool.ts";

const never = new AbortController().signal;
const nothing = () => 0;

/** Memories are texts; a request can use as much as both have in common. */
function common(prompt: string): (memory: string) => number {
  return (memory) => {
    let length = 0;
    while (length < memory.length && memory[length] === prompt[length]) {
      length++;
    }
    return length;
  };
}

/** A pool whose slots remember these texts, released in this order. */
async function remembering(
  texts: readonly string[],
): Promise<SlotPool<string>> {
  const pool = new SlotPool<string>(texts.length);
  const leases = await Promise.all(
    texts.map(() => pool.acquire(nothing, never)),
  );
  for (const [i, text] of texts.entries()) leases[i]!.release(text);
  return pool;
}

Deno.test("requests get slots in the order in which they came", async () => {
  const pool = new SlotPool<string>(2);
  const got: number[] = [];
  const leases: Lease<string>[] = [];
  const requests = [0, 1, 2, 3, 4].map(async (i) => {
    leases.push(await pool.acquire(nothing, never));
    got.push(i);
  });
  await Promise.all(requests.slice(0, 2));
  assertEquals([got, pool.busy, pool.waiting], [[0, 1], 2, 3]);
  for (const expected of [2, 3, 4]) {
    leases.shift()!.release(null);
    await requests[expected];
    assertEquals(got.at(-1), expected);
  }
  assertEquals([got, pool.busy, pool.waiting], [[0, 1, 2, 3, 4], 2, 0]);
});

Deno.test("a request gets the slot that remembers most of it", async () => {
  const pool = await remembering(["ab", "abcd", "abc", "x"]);
  const lease = await pool.acquire(common("abcde"), never);
  assertEquals([lease.slot, lease.memory], [1, "abcd"]);
  const next = await pool.acquire(common("abcde"), never); // while that one is busy
  assertEquals([next.slot, next.memory], [2, "abc"]);
});

Deno.test("a request that no slot remembers gets an empty one, else the longest idle", async () => {
  const pool = await remembering(["a", "b", "c"]);
  const first = await pool.acquire(common("b"), never);
  first.release("b"); // idle for the shortest time now
  const order = [];
  for (let i = 0; i < 3; i++) {
    const lease = await pool.acquire(common("z"), never);
    order.push([lease.slot, lease.memory]);
  }
  assertEquals(order, [[0, "a"], [2, "c"], [1, "b"]]);

  const forgotten = await remembering(["a", "b", "c"]);
  (await forgotten.acquire(common("c"), never)).release(null);
  assertEquals((await forgotten.acquire(common("z"), never)).slot, 2);
});

Deno.test("a memory is lent once: a failed conversation leaves none", async () => {
  const pool = await remembering(["abc"]);
  const lease = await pool.acquire(common("abc"), never);
  assertEquals(lease.memory, "abc");
  lease.release(null);
  assertEquals((await pool.acquire(common("abc"), never)).memory, null);
});

Deno.test("releasing twice gives the slot back once", async () => {
  const pool = new SlotPool<string>(1);
  const first = await pool.acquire(nothing, never);
  first.release("mine");
  const second = await pool.acquire(common("mine"), never);
  first.release("stale");
  assertEquals(pool.busy, 1);
  second.release("fresh");
  assertEquals((await pool.acquire(common("fresh"), never)).memory, "fresh");
});

Deno.test("whoever aborts leaves the line, and the others move up", async () => {
  const pool = new SlotPool<string>(1);
  const lease = await pool.acquire(nothing, never);
  const stop = new AbortController();
  const left = assertRejects(
    () => pool.acquire(nothing, stop.signal),
    Error,
    "went away",
  );
  const patient = pool.acquire(nothing, never);
  assertEquals(pool.waiting, 2);
  stop.abort(new Error("went away"));
  await left;
  assertEquals(pool.waiting, 1);
  lease.release(null);
  (await patient).release(null);
  assertEquals([pool.busy, pool.waiting], [0, 0]);
});

Deno.test("an abort after the slot was lent changes nothing", async () => {
  const pool = new SlotPool<string>(1);
  const stop = new AbortController();
  const pending = pool.acquire(nothing, stop.signal);
  stop.abort();
  (await pending).release("kept");
  assertEquals([pool.busy, pool.waiting], [0, 0]);
  await assertRejects(async () => await pool.acquire(nothing, stop.signal));
  assertEquals((await pool.acquire(common("kept"), never)).memory, "kept");
});
