import { assertEquals, assertNotEquals } from "@std/assert";
import { openStore, type Store } from "../../lib/store/store.ts";
import {
  ALL,
  begin,
  cache,
  item,
  itemsOf,
  KEY,
  logOf,
  OWNER,
  take,
} from "./_turns.ts";

const REQUEST = { body: { id: "new", status: "queued" }, input: [] };
const ONCE = { key: "k", fingerprint: "f" };

/** What the owner has in {@linkcode filled}, asked for as someone, and how it is not found. */
const CALLS: Record<
  string,
  { call: (store: Store, owner: string) => unknown; not: unknown }[]
> = {
  "conversations.create": [{ // the same name is another's own
    call: (store, owner) => {
      const id = owner === OWNER ? "conv3" : "conv";
      store.conversations.create(owner, { id, metadata: { mine: "1" } });
      return store.conversations.list(owner, ALL)?.data.length;
    },
    not: 1,
  }],
  "conversations.read": [{
    call: (store, owner) => store.conversations.read(owner, "conv"),
    not: null,
  }],
  "conversations.update": [{
    call: (store, owner) => store.conversations.update(owner, "conv", {}),
    not: null,
  }],
  "conversations.list": [{
    call: (store, owner) => store.conversations.list(owner, ALL)?.data,
    not: [],
  }, {
    call: (store, owner) =>
      store.conversations.list(owner, { ...ALL, after: "conv" }),
    not: null,
  }],
  "conversations.delete": [{
    call: (store, owner) => store.conversations.delete(owner, "conv"),
    not: "missing",
  }],
  "items.add": [{
    call: (store, owner) => store.items.add(owner, "conv2", [item("new")]),
    not: "missing",
  }],
  "items.read": [{
    call: (store, owner) => store.items.read(owner, "conv", "r1_in"),
    not: null,
  }],
  "items.list": [{
    call: (store, owner) => store.items.list(owner, "conv", ALL),
    not: null,
  }],
  "items.delete": [{
    call: (store, owner) => store.items.delete(owner, "conv2", "single"),
    not: "missing",
  }],
  "responses.read": ["r1", "under_way", "chain"].map((id) => ({
    call: (store, owner) => store.responses.read(owner, id),
    not: null,
  })),
  "responses.input": [{
    call: (store, owner) => store.responses.input(owner, "chain", ALL),
    not: null,
  }],
  "responses.events": ["under_way", "chain"].map((id) => ({
    call: (store, owner) => store.responses.events(owner, id, -1),
    not: null,
  })),
  "responses.delete": ["chain", "under_way"].map((id) => ({
    call: (store, owner) => store.responses.delete(owner, id),
    not: "missing",
  })),
  "turns.begin": [
    { conversation: "conv2" },
    { conversation: "conv" },
    { response: "under_way" },
    { response: "chain" },
  ].map((continues) => ({
    call: (store, owner) =>
      store.turns.begin(owner, { ...REQUEST, continues }).outcome,
    not: "missing",
  })),
  "turns.start": [{ conversation: "conv2" }, { response: "chain" }].map((
    continues,
  ) => ({
    call: (store, owner) => {
      const start = store.turns.start(owner, continues);
      return typeof start === "string" ? start : "found";
    },
    not: "missing",
  })),
  "turns.read": [{
    call: (store, owner) => store.turns.read(owner, 1),
    not: null,
  }],
  "turns.log": [{
    call: (store, owner) => store.turns.log(owner, 1),
    not: null,
  }],
  "snapshots.save": [{
    call: (store, owner) => store.snapshots.save(owner, 1, cache(20, 2)),
    not: false,
  }],
  "snapshots.load": [{
    call: (store, owner) => store.snapshots.load(owner, 1, KEY),
    not: null,
  }],
};
CALLS["turns.begin"]!.push({
  call: (store, owner) =>
    store.turns.begin(owner, { ...REQUEST, continues: null, once: ONCE })
      .outcome,
  not: "begun", // not "repeated"
});

/** Methods that are about no one's records: the server's own. */
const OWNERLESS = [
  "snapshots.bytes",
  "snapshots.counts",
  "snapshots.idle",
  "snapshots.sweep",
  "turns.failInterrupted",
];

/** A store in which one owner has something of everything. */
async function filled(): Promise<Store> {
  const store = await openStore(null, { snapshotBytes: 100 });
  for (const id of ["conv", "conv2"]) {
    store.conversations.create(OWNER, { id, metadata: { a: "1" } });
  }
  const { turn } = take(store, "r1", { continues: { conversation: "conv" } });
  await store.snapshots.save(OWNER, turn, cache(10));
  store.items.add(OWNER, "conv2", [item("single")]);
  const chain = begin(store, "chain", { once: ONCE });
  chain.append({ type: "delta", sequence_number: 0 });
  chain.commit({
    body: { id: "chain", status: "completed" },
    output: [],
    tokens: Uint32Array.of(1),
    boundaries: [],
    setup: { model: "m", policy: {} },
  });
  begin(store, "under_way", { continues: { conversation: "conv" } });
  return store;
}

/** All that the owner can see. */
async function seen(store: Store): Promise<unknown> {
  return [
    store.conversations.list(OWNER, ALL),
    itemsOf(store, "conv"),
    itemsOf(store, "conv2"),
    ["r1", "chain", "under_way"].map((id) => store.responses.read(OWNER, id)),
    ["r1", "chain", "under_way"].map((id) =>
      store.responses.input(OWNER, id, ALL)
    ),
    logOf(store, 1),
    await store.snapshots.load(OWNER, 1, KEY),
    store.snapshots.bytes,
  ];
}

Deno.test("isolation is tested for each method of the store", async () => {
  const store = await filled();
  const methods = Object.entries(store)
    .filter(([, part]) => typeof part === "object")
    .flatMap(([name, part]) =>
      Object.getOwnPropertyNames(Object.getPrototypeOf(part))
        .filter((method) => method !== "constructor")
        .map((method) => `${name}.${method}`)
    );
  assertEquals(
    methods.toSorted(),
    [...Object.keys(CALLS), ...OWNERLESS].toSorted(),
  );
  await store.close();
});

for (const [method, calls] of Object.entries(CALLS)) {
  for (const [i, { call, not }] of calls.entries()) {
    const name = `store's ${method} (${i}) finds and changes only its owner's`;
    Deno.test(name, async () => {
      for (const other of ["", "bob", "ADA", "ada%"]) {
        const store = await filled();
        const before = await seen(store);
        assertEquals(await call(store, other), not);
        assertEquals(await seen(store), before);
        assertNotEquals(await call(store, OWNER), not);
        await store.close();
      }
    });
  }
}
