import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UnavailableError } from "../../lib/chat/chat_model.ts";
import {
  type Lease,
  SlotPool,
  type SlotPoolOptions,
  type SlotRequest,
} from "../../lib/scheduler/slot_pool.ts";
import { ScriptedStore } from "./scripted_store.ts";

Deno.test.sanitizer({ ops: true, resources: true }); // no timer outlives its request

const never = new AbortController().signal;

function poolOf(
  slots: number,
  options: Partial<SlotPoolOptions> = {},
): SlotPool<string> {
  return new SlotPool<string>(new ScriptedStore(slots), {
    queue: 200,
    queueTimeout: 10_000,
    swapBytes: 1000,
    ...options,
  });
}

/** A request that goes on with the conversation of that name. */
function request(
  wanted = "",
  { client = "client", signal = never } = {},
): SlotRequest<string> {
  return { client, score: (memory) => memory === wanted ? 1 : 0, signal };
}

/** The error of a request that must not be served. */
async function unavailable(
  pending: Promise<unknown>,
): Promise<UnavailableError> {
  const error = await assertRejects(() => pending);
  assert(error instanceof UnavailableError, `${error}`);
  return error;
}

Deno.test("requests of one client get slots in the order in which they came", async () => {
  const pool = poolOf(2);
  const got: number[] = [];
  const leases: Lease<string>[] = [];
  const requests = [0, 1, 2, 3, 4].map(async (i) => {
    leases.push(await pool.acquire(request()));
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

for (const slots of [1, 2, 3]) {
  Deno.test(`with ${slots} slots, 100 requests of a client delay another's one by one turn`, async () => {
    const pool = poolOf(slots);
    const order: string[] = [];
    const run = async (client: string) => {
      const lease = await pool.acquire(request("", { client }));
      order.push(client);
      await new Promise((resolve) => setTimeout(resolve, 0));
      lease.release(null);
    };
    const flood = Array.from({ length: 100 + slots }, () => run("flood"));
    assertEquals([pool.busy, pool.waiting], [slots, 100]);
    await run("guest");
    const turn = order.indexOf("guest") - slots; // those before had their slots already
    assert(turn <= 1, `${turn} turns of the flood came first`);
    await Promise.all(flood);
    assertEquals([pool.busy, pool.waiting], [0, 0]);
  });
}

Deno.test("the client with the fewest slots on loan goes first", async () => {
  const pool = poolOf(3);
  const holders = await Promise.all(
    ["a", "b", "b"].map((client) => pool.acquire(request("", { client }))),
  );
  const order: string[] = [];
  const waiting = ["b", "a", "c"].map(async (client) => {
    const lease = await pool.acquire(request("", { client }));
    order.push(client);
    return lease;
  });
  holders[2]!.release(null); // a: 1, b: 1, c: 0
  await waiting[2];
  holders[0]!.release(null); // a: 0, b: 1
  await waiting[1];
  holders[1]!.release(null);
  await waiting[0];
  assertEquals(order, ["c", "a", "b"]);
});

Deno.test("a conversation that goes on gets its slot, whoever waited with it", async () => {
  const pool = poolOf(2);
  const [a, b] = await Promise.all([1, 2].map(() => pool.acquire(request())));
  const waiting = ["b", "a"].map((name) => pool.acquire(request(name)));
  b!.release("b");
  a!.release("a");
  const leases = await Promise.all(waiting);
  assertEquals(leases.map(({ slot, memory }) => [slot, memory]), [
    [1, "b"],
    [0, "a"],
  ]);
});

Deno.test("a conversation on loan is seen by nobody else", async () => {
  const pool = poolOf(2);
  (await pool.acquire(request())).release("chat");
  const first = await pool.acquire(request("chat"));
  assertEquals(first.memory, "chat");
  assertEquals((await pool.acquire(request("chat"))).memory, null);
});

Deno.test("the pool tells bytes and swaps", async () => {
  const store = new ScriptedStore(3);
  const options = { queue: 0, queueTimeout: 1000, swapBytes: 1000 };
  const pool = new SlotPool<string>(store, options);
  assertEquals(pool.bytes, { active: 0, idle: 0, free: 300, swapped: 0 });
  const leases = await Promise.all(
    [1, 2, 3].map(() => pool.acquire(request())),
  );
  assertEquals(pool.bytes, { active: 300, idle: 0, free: 0, swapped: 0 });
  store.caches[0] = "12345";
  leases[0]!.release("a");
  leases[1]!.release(null);
  assertEquals(pool.bytes, { active: 100, idle: 100, free: 100, swapped: 0 });
  for (let i = 0; i < 2; i++) await pool.acquire(request());
  assertEquals(pool.bytes, { active: 300, idle: 0, free: 0, swapped: 50 });
  assertEquals(pool.swaps, { out: 1, in: 0 });
  leases[2]!.release("b");
  assertEquals((await pool.acquire(request("a"))).memory, "a");
  assertEquals(pool.swaps, { out: 2, in: 1 });
});

Deno.test("releasing twice gives the slot back once", async () => {
  const pool = poolOf(1);
  const first = await pool.acquire(request());
  first.release("mine");
  const second = await pool.acquire(request("mine"));
  first.release("stale");
  assertEquals(pool.busy, 1);
  second.release("fresh");
  assertEquals((await pool.acquire(request("fresh"))).memory, "fresh");
});

Deno.test("whoever aborts leaves the line, and the others move up", async () => {
  const pool = poolOf(1);
  const lease = await pool.acquire(request());
  const stop = new AbortController();
  const left = assertRejects(
    () => pool.acquire(request("", { signal: stop.signal })),
    Error,
    "went away",
  );
  const patient = pool.acquire(request());
  assertEquals(pool.waiting, 2);
  stop.abort(new Error("went away"));
  assertEquals(pool.waiting, 1);
  await left;
  lease.release(null);
  (await patient).release(null);
  assertEquals([pool.busy, pool.waiting], [0, 0]);
});

Deno.test("an abort after the slot was lent changes nothing", async () => {
  const pool = poolOf(1);
  const stop = new AbortController();
  const { signal } = stop;
  const holder = await pool.acquire(request());
  const pending = pool.acquire(request("", { signal }));
  holder.release(null);
  stop.abort();
  (await pending).release("kept");
  assertEquals([pool.busy, pool.waiting], [0, 0]);
  await assertRejects(() => pool.acquire(request("", { signal })));
  assertEquals((await pool.acquire(request("kept"))).memory, "kept");
});

Deno.test("a request that was served listens to its signal no longer", async () => {
  const pool = poolOf(1);
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_: string, listener: unknown) =>
    void listeners.add(listener);
  signal.removeEventListener = (_: string, listener: unknown) =>
    void listeners.delete(listener);
  const holder = await pool.acquire(request());
  const pending = pool.acquire(request("", { signal }));
  assertEquals(listeners.size, 1);
  holder.release(null);
  (await pending).release(null);
  assertEquals(listeners.size, 0);
});

Deno.test("a request that finds no room is told so at once, and when to come back", async () => {
  for (const queue of [0, 2]) {
    const pool = poolOf(1, { queue });
    const lease = await pool.acquire(request());
    const waiting = Array.from(
      { length: queue },
      () => pool.acquire(request()),
    );
    const error = await unavailable(pool.acquire(request()));
    assertEquals([error.code, error.retryAfter], ["queue_full", 1]);
    assertEquals(
      error.message,
      `All slots of this server (1) are busy, and all places in line (${queue}) taken; try again ` +
        `in 1 s`,
    );
    assertEquals([pool.busy, pool.waiting], [1, queue]);
    lease.release(null);
    for (const next of waiting) (await next).release(null);
    (await pool.acquire(request())).release(null);
  }
});

Deno.test("in a full line the client with the most makes room for another", async () => {
  const pool = poolOf(1, { queue: 3 });
  const lease = await pool.acquire(request());
  const flood = [1, 2, 3].map(() =>
    pool.acquire(request("", { client: "flood" }))
  );
  const dropped = unavailable(flood[2]!);
  const guest = pool.acquire(request("", { client: "guest" }));
  const error = await dropped;
  assertEquals(error.code, "queue_full");
  assertEquals(
    error.message,
    "All places in line (3) are taken, no client had more of them than you, and your latest " +
      "request made room for another client's: send fewer at once; try again in 1 s",
  );
  assertEquals(pool.waiting, 3);
  lease.release(null);
  for (const next of [flood[0]!, guest, flood[1]!]) (await next).release(null);
});

Deno.test("whoever waits for too long is told so, and leaves the line", async () => {
  const pool = poolOf(1, { queueTimeout: 20 });
  const lease = await pool.acquire(request());
  const waiting = [1, 2].map(() => unavailable(pool.acquire(request())));
  for (const error of await Promise.all(waiting)) {
    assertEquals([error.code, error.retryAfter], ["queue_timeout", 1]);
    assertEquals(
      error.message,
      "The request waited for 0.02 s, as long as this server lets any, and no slot came free for " +
        "it; try again in 1 s",
    );
  }
  assertEquals([pool.busy, pool.waiting], [1, 0]);
  lease.release("kept");
  assertEquals((await pool.acquire(request("kept"))).memory, "kept");
});

Deno.test("how long slots are held tells when to come back", async () => {
  const { now } = performance;
  let time = 0;
  performance.now = () => time;
  try {
    const pool = poolOf(2, { queue: 2 });
    const seconds = async (): Promise<number> => {
      const error = await unavailable(pool.acquire(request()));
      assert(error.message.endsWith(`try again in ${error.retryAfter} s`));
      return error.retryAfter;
    };
    (await pool.acquire(request())).release(null);
    const first = await pool.acquire(request());
    time += 80_000;
    first.release(null); // the mean is 10 s now
    const leases = [1, 2, 3, 4].map(() => pool.acquire(request()));
    assertEquals(await seconds(), 15); // third in line of two slots
    for (const lease of leases) (await lease).release(null);
  } finally {
    performance.now = now;
  }
});

Deno.test("a score that throws fails its own request alone, and costs no slot", async () => {
  const pool = poolOf(1);
  const bad: SlotRequest<string> = {
    ...request(),
    score: () => {
      throw new Error("no score");
    },
  };
  const lease = await pool.acquire(request());
  const failed = assertRejects(() => pool.acquire(bad), Error, "no score");
  const next = pool.acquire(request("chat"));
  lease.release("chat");
  await failed;
  (await next).release("chat");
  await assertRejects(() => pool.acquire(bad), Error, "no score");
  assertEquals((await pool.acquire(request("chat"))).memory, "chat");
});

Deno.test("slots that fail to save or restore keep nobody from being served", async () => {
  const store = new ScriptedStore(1);
  const options = { queue: 9, queueTimeout: 1000, swapBytes: 1000 };
  const pool = new SlotPool<string>(store, options);
  const lease = await pool.acquire(request());
  const waiting = ["b", "a", "b"].map((name) => pool.acquire(request(name)));
  lease.release("a");
  store.failing = { restore: true };
  (await waiting[0]!).release("b");
  assertEquals(await waiting[1]!.then(({ memory }) => memory), null);
  store.failing = { save: true };
  (await waiting[1]!).release("c");
  assertEquals((await waiting[2]!).memory, "b");
  (await waiting[2]!).release(null);
  assertEquals([pool.busy, pool.waiting], [0, 0]);
});

Deno.test("while a conversation is on its way nobody else gets its slot, and others are served", async () => {
  const store = new ScriptedStore(2);
  const options = { queue: 9, queueTimeout: 1000, swapBytes: 1000 };
  const pool = new SlotPool<string>(store, options);
  const leases = [await pool.acquire(request()), await pool.acquire(request())];
  const waiting = ["", "a"].map((name) => pool.acquire(request(name)));
  leases[0]!.release("a");
  (await waiting[0]!).release(null); // "a" was swapped out for it
  assertEquals((await waiting[1]!).memory, "a");
  (await waiting[1]!).release("a");
  (await pool.acquire(request())).release(null);

  const gate = Promise.withResolvers<void>();
  store.gate = gate.promise;
  const stop = new AbortController();
  let lent = false;
  const slow = pool.acquire(
    request("a", { client: "slow", signal: stop.signal }),
  )
    .finally(() => lent = true);
  assertEquals([pool.busy, pool.waiting], [2, 0]);
  const next = pool.acquire(request("a"));
  assertEquals(pool.waiting, 1);
  leases[1]!.release(null);
  assertEquals([(await next).slot, (await next).memory], [
    leases[1]!.slot,
    null,
  ]);
  stop.abort(); // it has its slot, and gives it back itself
  assertEquals(lent, false);
  gate.resolve();
  const { slot, memory, release } = await slow;
  assertEquals([slot, memory], [leases[0]!.slot, "a"]);
  release(null);
  (await next).release(null);
  assertEquals([pool.busy, pool.waiting], [0, 0]);
});

Deno.test("a pool refuses a timeout that no timer can keep", () => {
  for (const queueTimeout of [-1, NaN, 2 ** 31, Infinity]) {
    assertThrows(
      () => poolOf(1, { queueTimeout }),
      RangeError,
      `${queueTimeout} ms`,
    );
  }
});
