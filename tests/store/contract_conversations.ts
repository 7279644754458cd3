/** What a store must do with conversations and items. @module */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ALL, begin, item, itemsOf, OWNER, take } from "./_turns.ts";
import type { StoreTest } from "./contract.ts";

/** Adds the tests of conversations and items. */
export function conversationTests(test: StoreTest): void {
  test("keeps conversations and their metadata", (store) => {
    const created = { id: "conv", createdAt: 1_700_000_000 };
    assertEquals(store.conversations.read(OWNER, "conv"), {
      ...created,
      metadata: { a: "1" },
    });
    const metadata = { b: "é\0'" };
    const updated = { ...created, metadata };
    assertEquals(
      store.conversations.update(OWNER, "conv", metadata),
      updated,
    );
    assertEquals(store.conversations.read(OWNER, "conv"), updated);
    assertEquals(store.conversations.update(OWNER, "other", metadata), null);
    assertEquals(store.conversations.read(OWNER, "other"), null);
  });

  test("makes no conversation twice", (store) => {
    const create = () =>
      store.conversations.create(OWNER, { id: "conv", metadata: {} });
    assertThrows(create, Error, "UNIQUE");
    assertEquals(store.conversations.read(OWNER, "conv")?.metadata, { a: "1" });
  });

  test("pages through conversations, items and input in both orders", (store) => {
    const ids = ["a", "b", "c", "d", "e"];
    for (const id of ids) {
      store.conversations.create(OWNER, { id, metadata: {} });
    }
    take(store, "r"); // a chain is no conversation
    const items = ids.map(item);
    assertEquals(store.items.add(OWNER, "a", items), "done");
    begin(store, "under_way", { input: items });

    const lists = [
      store.conversations.list.bind(store.conversations, OWNER),
      store.items.list.bind(store.items, OWNER, "a"),
      store.responses.input.bind(store.responses, OWNER, "under_way"),
    ];
    for (const [i, list] of lists.entries()) {
      const all = i === 0 ? ["conv", ...ids] : ids;
      for (const order of ["asc", "desc"] as const) {
        const expected = order === "asc" ? all : all.toReversed();
        for (const limit of [1, 2, 5, 6, 7]) {
          const read: string[] = [];
          for (;;) {
            const page = list({ after: read.at(-1), limit, order });
            assert(page);
            read.push(...page.data.map(({ id }) => id));
            assertEquals(page.hasMore, read.length < all.length);
            if (!page.hasMore) break;
            assertEquals(page.data.length, limit);
          }
          assertEquals(read, expected);
        }
      }
      assertEquals(list({ ...ALL, after: "nowhere" }), null);
      for (const limit of [0, -1, 1.5, NaN]) {
        assertThrows(() => list({ ...ALL, limit }), RangeError);
      }
    }
    assertEquals(store.items.list(OWNER, "nowhere", ALL), null);
    assertEquals(store.responses.input(OWNER, "nowhere", ALL), null);
  });

  test("adds, reads and deletes items", async (store) => {
    assertEquals(store.items.add(OWNER, "nowhere", [item("a")]), "missing");
    store.items.add(OWNER, "conv", [item("a"), item("b")]);
    store.items.add(OWNER, "conv", [item("c")]);
    assertEquals(store.items.read(OWNER, "conv", "b"), item("b"));
    assertEquals(await store.items.delete(OWNER, "conv", "b"), "done");
    assertEquals(await store.items.delete(OWNER, "conv", "b"), "missing");
    assertEquals(store.items.read(OWNER, "conv", "b"), null);
    assertEquals(itemsOf(store, "conv"), ["a", "c"]);
    assertThrows(() => store.items.add(OWNER, "conv", [item("d"), item("a")]));
    assertEquals(itemsOf(store, "conv"), ["a", "c"]);
  });
}
