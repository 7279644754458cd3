import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FairQueue } from "../../lib/scheduler/fair_queue.ts";

const idle = () => 0;

/** A queue of items that are named by their clients: "a0" is a's. */
function lineOf(capacity: number, items: readonly string[]): FairQueue<string> {
  const queue = new FairQueue<string>(capacity);
  for (const item of items) queue.push(item[0]!, item);
  return queue;
}

function drain(
  queue: FairQueue<string>,
  running: (client: string) => number = idle,
): string[] {
  const items: string[] = [];
  for (let item; (item = queue.shift(running)) !== undefined;) items.push(item);
  return items;
}

Deno.test("fair queue serves one client's items in the order in which they came", () => {
  const queue = lineOf(9, ["a0", "a1", "a2"]);
  assertEquals(queue.length, 3);
  assertEquals(drain(queue), ["a0", "a1", "a2"]);
  assertEquals(queue.length, 0);
});

Deno.test("fair queue gives clients turns, first come first", () => {
  const queue = lineOf(9, ["b0", "b1", "b2", "a0", "a1", "c0"]);
  assertEquals(drain(queue), ["b0", "a0", "c0", "b1", "a1", "b2"]);
});

Deno.test("fair queue serves first whoever has the fewest running", () => {
  const queue = lineOf(9, ["a0", "b0", "c0"]);
  const running: Record<string, number> = { a: 2, b: 1, c: 1 };
  assertEquals(drain(queue, (client) => running[client]!), ["b0", "c0", "a0"]);
});

Deno.test("fair queue lets a client with 100 items delay another's one by one turn", () => {
  const flood = Array.from({ length: 100 }, (_, i) => `a${i}`);
  assertEquals(drain(lineOf(200, [...flood, "b0"])).indexOf("b0"), 1);
});

Deno.test("a full line drops the latest item of the client that has the most", () => {
  const queue = lineOf(4, ["a0", "a1", "a2", "b0"]);
  assertEquals(queue.push("c", "c0"), "a2");
  assertEquals(queue.length, 4);
  assertEquals(drain(queue), ["a0", "b0", "c0", "a1"]);
});

Deno.test("a full line drops the newcomer unless its client would have fewer", () => {
  const queue = lineOf(3, ["a0", "a1", "b0"]);
  assertEquals(queue.push("b", "b1"), "b1");
  assertEquals(queue.push("a", "a2"), "a2");
  assertEquals(queue.push("c", "c0"), "a1");
  assertEquals(queue.push("d", "d0"), "d0");
  assertEquals(drain(queue), ["a0", "b0", "c0"]);
});

Deno.test("a full line drops the latest of the items that could go", () => {
  const queue = lineOf(6, ["b0", "a0", "b1", "a1", "a2", "b2"]);
  assertEquals(queue.push("c", "c0"), "b2");
});

Deno.test("fair queue of capacity 0 lets nothing wait", () => {
  const queue = new FairQueue<string>(0);
  assertEquals(queue.push("a", "a0"), "a0");
  assertEquals([queue.length, queue.shift(idle)], [0, undefined]);
});

Deno.test("an item that is removed leaves its place to the next", () => {
  const queue = lineOf(3, ["a0", "b0", "a1"]);
  assert(queue.remove("a0"));
  assert(!queue.remove("a0"));
  assertEquals(queue.length, 2);
  assertEquals(queue.push("c", "c0"), null);
  assertEquals(drain(queue), ["b0", "a1", "c0"]);
});

Deno.test("fair queue refuses a capacity that is no natural number", () => {
  for (const capacity of [-1, 1.5, NaN, Infinity]) {
    assertThrows(() => new FairQueue(capacity), RangeError, `${capacity}`);
  }
});

/** The rules, one by one, on a plain list of who came when. */
class NaiveQueue {
  items: { client: string; item: number; time: number }[] = [];
  readonly #turns = new Map<string, number>();
  readonly #capacity: number;
  #time = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  of(client: string) {
    return this.items.filter((other) => other.client === client);
  }

  push(client: string, item: number): number | null {
    const newcomer = { client, item, time: ++this.#time };
    if (this.items.length < this.#capacity) {
      this.items.push(newcomer);
      return null;
    }
    const mine = this.of(client).length + 1;
    const most = Math.max(
      0,
      ...this.items.map((i) => this.of(i.client).length),
    );
    if (most <= mine) return item;
    const dropped = this.items.findLast((i) =>
      this.of(i.client).length === most
    )!;
    this.remove(dropped.item);
    this.items.push(newcomer);
    return dropped.item;
  }

  remove(item: number): boolean {
    const before = this.items.length;
    this.items = this.items.filter((other) => other.item !== item);
    return this.items.length < before;
  }

  shift(running: (client: string) => number): number | undefined {
    const since = (client: string) =>
      Math.max(this.of(client)[0]!.time, this.#turns.get(client) ?? 0);
    const clients = [...new Set(this.items.map(({ client }) => client))];
    clients.sort((a, b) => running(a) - running(b) || since(a) - since(b));
    if (clients.length === 0) return undefined;
    const { item } = this.of(clients[0]!)[0]!;
    this.#turns.set(clients[0]!, ++this.#time);
    this.remove(item);
    return item;
  }
}

Deno.test("fair queue does what a plain list of the rules does", () => {
  const client = fc.constantFrom("a", "b", "c", "d");
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ push: client }) },
    { weight: 1, arbitrary: fc.record({ remove: fc.nat(60) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        shift: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
      }),
    },
  );
  fc.assert(
    fc.property(
      fc.nat(8),
      fc.array(action, { maxLength: 80 }),
      (capacity, actions) => {
        const queue = new FairQueue<number>(capacity);
        const naive = new NaiveQueue(capacity);
        for (const [item, act] of actions.entries()) {
          if ("push" in act) {
            assertEquals(
              queue.push(act.push, item),
              naive.push(act.push, item),
            );
          } else if ("remove" in act) {
            assertEquals(queue.remove(act.remove), naive.remove(act.remove));
          } else {
            const running = (client: string) =>
              act.shift["abcd".indexOf(client)]!;
            assertEquals(queue.shift(running), naive.shift(running));
          }
          assertEquals(queue.length, naive.items.length);
          assert(queue.length <= capacity);
        }
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("no client in line is passed over twice by another that has as many running", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 40 }),
      (clients) => {
        const queue = new FairQueue<string>(40);
        for (const client of clients) queue.push(client, client);
        const order = drain(queue);
        for (const [at, client] of order.entries()) {
          const before = order.slice(0, at);
          const between = before.slice(before.lastIndexOf(client) + 1);
          assertEquals(new Set(between).size, between.length, order.join(" "));
        }
      },
    ),
  );
});
