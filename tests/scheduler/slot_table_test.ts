import { assertEquals, assertThrows } from "@std/assert";
import { SlotTable } from "../../lib/scheduler/slot_table.ts";
import { ScriptedStore } from "./scripted_store.ts";

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

/** A table in whose slots these conversations, used in this order, lie idle. */
function holding(
  texts: readonly string[],
  { swapBytes = 1000, slots = texts.length } = {},
): { table: SlotTable<string>; store: ScriptedStore } {
  const store = new ScriptedStore(slots);
  const table = new SlotTable<string>(store, swapBytes);
  const seats = texts.map(() => table.take(nothing));
  for (const [i, { slot }] of seats.entries()) {
    put({ table, store }, slot, texts[i]!);
  }
  return { table, store };
}

/** Takes a slot, and waits for what is in it. */
async function take(
  table: SlotTable<string>,
  score: (memory: string) => number,
): Promise<{ slot: number; memory: string | null }> {
  const { slot, memory } = table.take(score);
  return { slot, memory: await memory };
}

/** Ends a turn: the slot's cache and what is remembered of it are this text. */
function put(
  { table, store }: { table: SlotTable<string>; store: ScriptedStore },
  slot: number,
  text: string,
): void {
  store.caches[slot] = text;
  table.giveBack(slot, text);
}

Deno.test("a request gets the slot that holds most of it", async () => {
  const { table, store } = holding(["ab", "abcd", "abc", "x"]);
  assertEquals(await take(table, common("abcde")), { slot: 1, memory: "abcd" });
  assertEquals(await take(table, common("abcde")), { slot: 2, memory: "abc" });
  assertEquals(store.calls, []);
});

Deno.test("a request that nothing is of use to gets a free slot, else the longest idle", async () => {
  const { table } = holding(["a", "b", "c"], { slots: 4 });
  table.giveBack(table.take(common("b")).slot, "b"); // the latest used now
  const order = await Promise.all(
    [1, 2, 3, 4].map(() => take(table, common("z"))),
  );
  assertEquals(order, [
    { slot: 3, memory: null },
    { slot: 0, memory: null },
    { slot: 2, memory: null },
    { slot: 1, memory: null },
  ]);
});

Deno.test("a free slot next to a busy one is taken first, the lowest if none is busy", () => {
  const store = new ScriptedStore(8);
  const table = new SlotTable<string>(store, 0);
  for (let slot = 0; slot < 8; slot++) {
    assertEquals(table.take(nothing).slot, slot);
  }
  for (const slot of [0, 1, 2, 4, 6, 7]) table.giveBack(slot, null);
  assertEquals(table.take(nothing).slot, 2); // 3 and 5 are busy
  assertEquals(table.take(nothing).slot, 1);
  assertEquals(table.take(nothing).slot, 0);
  table.giveBack(3, null);
  table.giveBack(0, null);
  table.giveBack(1, null);
  table.giveBack(2, null);
  assertEquals(table.take(nothing).slot, 4); // 5 is
});

Deno.test("a slot that was given back empty is free", async () => {
  const { table, store } = holding(["abc", "x"]);
  const { slot } = table.take(common("abc"));
  table.giveBack(slot, null);
  assertEquals(await take(table, common("abc")), { slot, memory: null });
  assertEquals(store.calls, []);
});

Deno.test("conversations are swapped out least recently used first, and come back", async () => {
  const both = holding(["a", "bb", "ccc"]);
  const { table, store } = both;
  put(both, table.take(common("a")).slot, "a!"); // now b is the oldest
  for (const [slot, text] of [[1, "x"], [2, "y"]] as const) {
    assertEquals(await take(table, common(text)), { slot, memory: null });
    put(both, slot, text);
  }
  assertEquals(store.calls, ["save 1 bb", "save 2 ccc"]);
  assertEquals(table.bytes, { active: 0, idle: 300, free: 0, swapped: 50 });

  assertEquals(await take(table, common("bb")), { slot: 0, memory: "bb" });
  assertEquals(store.calls.slice(2), ["save 0 a!", "restore 0 bb"]);
  assertEquals(store.caches, ["bb", "x", "y"]);
  assertEquals(table.bytes, { active: 100, idle: 200, free: 0, swapped: 50 });
  assertEquals(table.swaps, { out: 3, in: 1 });
});

Deno.test("a conversation comes back into a free slot where there is one", async () => {
  const { table, store } = holding(["a", "b"]);
  table.take(nothing);
  table.giveBack(table.take(nothing).slot, null);
  assertEquals(await take(table, common("a")), { slot: 1, memory: "a" });
  assertEquals(store.calls, ["save 0 a", "save 1 b", "restore 1 a"]);
});

Deno.test("of conversations of equal use the resident one is taken, then the latest used", async () => {
  const both = holding(["a1", "a2", "b"]);
  const { table, store } = both;
  assertEquals((await take(table, common("a"))).memory, "a2"); // later than a1
  table.giveBack(1, "a2");
  assertEquals(table.take(nothing).slot, 0); // swaps a1 out
  assertEquals(table.take(nothing).slot, 2); // and b
  put(both, 0, "c");
  put(both, 2, "d");
  assertEquals(await take(table, common("a")), { slot: 1, memory: "a2" });
  assertEquals((await take(table, common("a"))).memory, "a1");
  assertEquals(store.calls.at(-1), "restore 0 a1");

  const swapped = holding(["a1", "a2"]);
  for (let i = 0; i < 2; i++) swapped.table.take(nothing);
  swapped.table.giveBack(0, null);
  assertEquals((await take(swapped.table, common("a"))).memory, "a2");
});

Deno.test("a swapped conversation of more use than a resident one is brought back", async () => {
  const both = holding(["abc", "x"]);
  const { slot } = both.table.take(nothing);
  put(both, slot, "ab");
  assertEquals(await take(both.table, common("abcd")), {
    slot: 1,
    memory: "abc",
  });
});

Deno.test("swapped conversations hold at most their bytes, the oldest forgotten first", async () => {
  const both = holding(["a", "bb", "ccc"], { swapBytes: 50 });
  const { table, store } = both;
  for (let i = 0; i < 3; i++) table.take(nothing);
  assertEquals(table.bytes.swapped, 50); // bb and ccc
  table.giveBack(0, null);
  assertEquals((await take(table, common("a"))).memory, null);
  table.giveBack(0, null);
  assertEquals((await take(table, common("ccc"))).memory, "ccc");
  assertEquals(table.bytes.swapped, 20);
  assertEquals(store.calls.filter((call) => call.startsWith("restore")), [
    "restore 0 ccc",
  ]);
});

Deno.test("a conversation larger than all swap space is forgotten, and the others stay", async () => {
  const { table } = holding(["a", "abcdef"], { swapBytes: 50 });
  for (let i = 0; i < 2; i++) table.take(nothing);
  assertEquals([table.bytes.swapped, table.swaps.out], [10, 1]);
  table.giveBack(0, null);
  assertEquals((await take(table, common("abcdef"))).memory, "a");
});

Deno.test("a conversation that comes back leaves its room to the one whose slot it takes", async () => {
  const both = holding(["ccc"], { swapBytes: 60 });
  const { table, store } = both;
  put(both, table.take(nothing).slot, "aaa");
  put(both, table.take(nothing).slot, "bbb");
  assertEquals(await take(table, common("a")), { slot: 0, memory: "aaa" });
  assertEquals(store.caches, ["aaa"]);
  assertEquals(table.bytes.swapped, 60); // ccc and bbb
  table.giveBack(0, null);
  assertEquals(await take(table, common("c")), { slot: 0, memory: "ccc" });
});

Deno.test("nothing is saved where nothing may be kept", async () => {
  const { table, store } = holding(["a"], { swapBytes: 0 });
  assertEquals(await take(table, common("b")), { slot: 0, memory: null });
  assertEquals([store.calls, table.bytes.swapped], [[], 0]);
});

Deno.test("a conversation that cannot be saved is forgotten, and its slot is used", async () => {
  const both = holding(["a"]);
  const { table, store } = both;
  store.failing = { save: true };
  assertEquals(await take(table, common("b")), { slot: 0, memory: null });
  assertEquals(table.swaps, { out: 0, in: 0 });
  put(both, 0, "b");
  store.failing = {};
  assertEquals(await take(table, common("a")), { slot: 0, memory: null });
  assertEquals(table.bytes, { active: 100, idle: 0, free: 0, swapped: 10 });
});

Deno.test("a conversation that cannot be restored is forgotten, and its request has the slot", async () => {
  const both = holding(["a"]);
  const { table, store } = both;
  put(both, table.take(nothing).slot, "b");
  store.failing = { restore: true };
  assertEquals(await take(table, common("a")), { slot: 0, memory: null });
  assertEquals(table.swaps, { out: 2, in: 0 });
  assertEquals(table.bytes, { active: 100, idle: 0, free: 0, swapped: 10 });
  table.giveBack(0, null);
  store.failing = {};
  assertEquals(await take(table, common("a")), { slot: 0, memory: null });
});

Deno.test("a slot is taken at once, though its conversation comes later", async () => {
  const both = holding(["a", "b"]);
  const { table, store } = both;
  for (const text of ["c", "d"]) put(both, table.take(nothing).slot, text);
  const gate = Promise.withResolvers<void>();
  store.gate = gate.promise;
  const seats = ["a", "b"].map((text) => table.take(common(text)));
  assertEquals(seats.map(({ slot }) => slot), [0, 1]);
  assertEquals(table.full, true);
  assertThrows(() => table.take(common("a")), Error, "all 2 are taken");
  assertEquals(table.bytes, { active: 200, idle: 0, free: 0, swapped: 20 });
  assertEquals([table.swaps, store.caches], [{ out: 4, in: 0 }, ["c", "d"]]);
  gate.resolve();
  const memories = await Promise.all(seats.map(({ memory }) => memory));
  assertEquals([memories, store.caches], [["a", "b"], ["a", "b"]]);
  assertEquals(table.swaps, { out: 4, in: 2 });
});

Deno.test("a score that throws changes nothing, and neither does asking a full table", () => {
  const { table } = holding(["a", "b"]);
  const throws = () => {
    throw new Error("no score");
  };
  assertThrows(() => table.take(throws), Error, "no score");
  assertEquals(table.bytes, { active: 0, idle: 200, free: 0, swapped: 0 });
  for (let i = 0; i < 2; i++) table.take(nothing);
  assertThrows(() => table.take(nothing), Error, "all 2 are taken");
  assertEquals(table.bytes, { active: 200, idle: 0, free: 0, swapped: 20 });
});

Deno.test("a score that is not above 0 takes no conversation", async () => {
  const { table } = holding(["a", "b"]);
  for (const score of [0, -1, NaN]) {
    const { slot, memory } = await take(table, () => score);
    assertEquals(memory, null);
    table.giveBack(slot, "again");
  }
});

Deno.test("a seat says whether its conversation was moved out of its slot meanwhile", async () => {
  const both = holding(["a", "bb"]);
  const { table } = both;
  const seat = table.take(common("bb"));
  assertEquals([seat.slot, seat.swapped], [1, false]);
  assertEquals(table.take(common("x")).swapped, false);
  put(both, 1, "bb");
  put(both, 0, "x");
  const back = table.take(common("a"));
  assertEquals([back.swapped, await back.memory], [true, "a"]);
});

Deno.test("a copy leaves a conversation where it is, in its slot or out of it", async () => {
  const both = holding(["a", "bb"]);
  const { table, store } = both;
  assertEquals(table.copy(common("bb"))?.snapshot.seen, 2);
  assertEquals(table.copy(common("z")), null);
  assertEquals([table.has(common("bb")), table.has(common("z"))], [
    true,
    false,
  ]);
  put(both, table.take(nothing).slot, "x");
  store.calls.length = 0;
  const swapped = table.copy(common("a"));
  assertEquals([swapped?.memory, swapped?.snapshot.seen], ["a", 1]);
  assertEquals(store.calls, []);
  assertEquals(await take(table, common("a")), { slot: 1, memory: "a" });
  table.take(nothing);
  assertEquals([table.has(common("a")), table.copy(common("a"))], [
    false,
    null,
  ]);
});
