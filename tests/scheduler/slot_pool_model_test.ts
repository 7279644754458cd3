import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { setImmediate } from "node:timers/promises";
import { UnavailableError } from "../../lib/chat/chat_model.ts";
import { type Lease, SlotPool } from "../../lib/scheduler/slot_pool.ts";
import { ScriptedStore } from "./scripted_store.ts";

Deno.test.sanitizer({ ops: true, resources: true }); // no timer outlives its request

/** A conversation, and what its slot's cache was when it was released. */
interface Memory {
  readonly topic: string;
  readonly cache: string;
}

interface Waiter {
  readonly client: string;
  readonly topic: string;
  readonly stop: AbortController;
}

interface Loan extends Waiter {
  readonly lease: Lease<Memory>;
}

type Action =
  | { type: "acquire"; client: string; topic: string }
  | { type: "release"; index: number; size: number | null }
  | { type: "abort"; index: number }
  | { type: "fail"; save: boolean; restore: boolean };

interface Bounds {
  readonly slots: number;
  readonly queue: number;
  readonly swapBytes: number;
}

const GONE = new Error("gone");

/** A pool beside plain lists of what must be where. */
class Simulation {
  readonly #bounds: Bounds;
  readonly #store: ScriptedStore;
  readonly #pool: SlotPool<Memory>;
  /** In the order in which they came. */
  #waiting: Waiter[] = [];
  #loans: Loan[] = [];
  /** Least recently used first, both. */
  #idle: { slot: number; memory: Memory }[] = [];
  #swapped: Memory[] = [];
  #turns = 0;
  readonly #failures: unknown[] = [];

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
    this.#store = new ScriptedStore(bounds.slots);
    this.#pool = new SlotPool(this.#store, { ...bounds, queueTimeout: 10_000 });
  }

  /** Does one thing, of which at most one request gets a slot, and looks at everything. */
  async act(action: Action): Promise<void> {
    if (action.type === "acquire") this.#acquire(action.client, action.topic);
    else if (action.type === "release") this.#release(action);
    else if (action.type === "abort") this.#abort(action.index);
    else this.#store.failing = action;
    await setImmediate();
    if (this.#failures.length > 0) throw this.#failures[0];
    this.#check();
  }

  async end(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.act({ type: "abort", index: 0 });
    }
    while (this.#loans.length > 0) {
      await this.act({ type: "release", index: 0, size: null });
    }
    assertEquals([this.#pool.busy, this.#pool.waiting], [0, 0]);
  }

  #acquire(client: string, topic: string): void {
    const waiter = { client, topic, stop: new AbortController() };
    this.#waiting.push(waiter);
    this.#pool.acquire({
      client,
      score: (memory) => score(memory, topic),
      signal: waiter.stop.signal,
    }).then(
      (lease) => this.#lent(waiter, lease),
      (error) => this.#rejected(waiter, error),
    ).catch((error) => this.#failures.push(error));
  }

  #release({ index, size }: { index: number; size: number | null }): void {
    const [loan] = this.#loans.splice(index % this.#loans.length, 1);
    if (!loan) return;
    const { lease, topic } = loan;
    if (size === null) return lease.release(null);
    const cache = `${topic}${++this.#turns}`.padEnd(size, ".");
    const memory = { topic, cache };
    this.#store.caches[lease.slot] = cache;
    this.#idle.push({ slot: lease.slot, memory });
    lease.release(memory);
    lease.release(null);
  }

  #abort(index: number): void {
    this.#waiting[index % this.#waiting.length]?.stop.abort(GONE);
  }

  #rejected(waiter: Waiter, error: unknown): void {
    if (!waiter.stop.signal.aborted) {
      assert(error instanceof UnavailableError, `${error}`);
      assertEquals(error.code, "queue_full");
      assertEquals(this.#waiting.length, this.#bounds.queue + 1);
      const most = Math.max(
        ...this.#waiting.map(({ client }) => this.#waits(client)),
      );
      assertEquals(this.#waits(waiter.client), most);
    } else assertStrictEquals(error, GONE);
    this.#waiting = this.#waiting.filter((other) => other !== waiter);
  }

  #lent(waiter: Waiter, lease: Lease<Memory>): void {
    const { client, topic } = waiter;
    for (const other of this.#waiting) {
      assert(
        this.#runs(other.client) >= this.#runs(client),
        "passed over a client with fewer on loan",
      );
    }
    assertStrictEquals(
      this.#waiting.find((other) => other.client === client),
      waiter,
      "passed over an earlier request of its client",
    );
    const expected = this.#take(topic, lease.slot);
    assertStrictEquals(lease.memory, expected);
    if (expected) {
      assertEquals(this.#store.caches[lease.slot], expected.cache);
    }
    this.#waiting = this.#waiting.filter((other) => other !== waiter);
    this.#loans.push({ ...waiter, lease });
  }

  /** Chooses by the rules, and moves what has to move; `slot` must be what that leads to. */
  #take(topic: string, slot: number): Memory | null {
    assert(!this.#loans.some(({ lease }) => lease.slot === slot), "lent twice");
    const all = [...this.#swapped, ...this.#idle.map(({ memory }) => memory)];
    const most = Math.max(0, ...all.map((memory) => score(memory, topic)));
    const match = most === 0
      ? null
      : all.findLast((memory) => score(memory, topic) === most)!;
    const resident = this.#idle.find(({ memory }) => memory === match);
    if (resident) {
      assertEquals(slot, resident.slot);
      this.#idle = this.#idle.filter((other) => other !== resident);
      return match;
    }
    this.#swapped = this.#swapped.filter((memory) => memory !== match);
    if (this.#idle.length + this.#loans.length < this.#bounds.slots) {
      assert(
        !this.#idle.some((other) => other.slot === slot),
        "a slot is free",
      );
    } else {
      const oldest = this.#idle.shift()!;
      assertEquals(slot, oldest.slot);
      this.#swapOut(oldest.memory);
    }
    return this.#store.failing.restore ? null : match;
  }

  #swapOut(memory: Memory): void {
    const { swapBytes } = this.#bounds;
    if (this.#store.failing.save || bytesOf([memory]) > swapBytes) return;
    this.#swapped.push(memory);
    while (bytesOf(this.#swapped) > swapBytes) this.#swapped.shift();
  }

  #waits(client: string): number {
    return this.#waiting.filter((other) => other.client === client).length;
  }

  #runs(client: string): number {
    return this.#loans.filter((other) => other.client === client).length;
  }

  #check(): void {
    const { slots, queue, swapBytes } = this.#bounds;
    const free = slots - this.#loans.length - this.#idle.length;
    const { slotBytes } = this.#store;
    assertEquals(this.#pool.bytes, {
      active: this.#loans.length * slotBytes,
      idle: this.#idle.length * slotBytes,
      free: free * slotBytes,
      swapped: bytesOf(this.#swapped),
    });
    assert(this.#pool.bytes.swapped <= swapBytes);
    assertEquals(this.#pool.busy, this.#loans.length);
    assertEquals(this.#pool.waiting, this.#waiting.length);
    assert(this.#pool.waiting <= queue);
    if (this.#waiting.length > 0) assertEquals(this.#pool.busy, slots);
  }
}

function score(memory: Memory, topic: string): number {
  return memory.topic === topic ? memory.cache.length : 0;
}

function bytesOf(memories: readonly Memory[]): number {
  return memories.reduce((sum, { cache }) => sum + 10 * cache.length, 0);
}

const bounds: fc.Arbitrary<Bounds> = fc.record({
  slots: fc.integer({ min: 1, max: 4 }),
  queue: fc.nat(6),
  swapBytes: fc.oneof(
    fc.constantFrom(0, Infinity),
    fc.integer({ min: 1, max: 400 }),
  ),
});

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("acquire" as const),
      client: fc.constantFrom("ann", "bob", "cy"),
      topic: fc.constantFrom("u", "v", "w", "x", "y", "z"),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      type: fc.constant("release" as const),
      index: fc.nat(3),
      size: fc.option(fc.integer({ min: 4, max: 12 }), { freq: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("abort" as const),
      index: fc.nat(5),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("fail" as const),
      save: fc.boolean(),
      restore: fc.boolean(),
    }),
  },
);

Deno.test("whatever requests come, end and go away, the pool keeps its rules", async () => {
  await fc.assert(
    fc.asyncProperty(
      bounds,
      fc.array(action, { maxLength: 80, size: "max" }),
      async (bounds, actions) => {
        const simulation = new Simulation(bounds);
        for (const action of actions) await simulation.act(action);
        await simulation.end();
      },
    ),
    { numRuns: 300 },
  );
});
