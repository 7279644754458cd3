/** What a store must do with snapshots of caches. @module */
import { assert, assertEquals } from "@std/assert";
import { after, cache, CONV, KEY, OWNER, snapshotsOf, take } from "./_turns.ts";
import type { StoreTest } from "./contract.ts";

/** Adds the tests of snapshots. */
export function snapshotTests(test: StoreTest): void {
  test("loads the latest snapshot of a thread up to a turn", async (store) => {
    const one = take(store, "r1", CONV);
    const two = take(store, "r2", CONV);
    const three = take(store, "r3", CONV);
    const load = async (turn: number, key = KEY) =>
      await store.snapshots.load(OWNER, turn, key);
    assertEquals(await load(three.turn), null);
    assert(await store.snapshots.save(OWNER, two.turn, cache(10, 2)));
    assertEquals(await load(one.turn), null);
    const loaded = { position: two, bytes: cache(10, 2).bytes };
    assertEquals(await load(two.turn), loaded);
    assertEquals(await load(three.turn), loaded);
    for (const field of ["model", "policy", "precision"]) {
      assertEquals(await load(two.turn, { ...KEY, [field]: "x" }), null);
    }
    assert(await store.snapshots.save(OWNER, two.turn, cache(20, 3)));
    assertEquals((await load(two.turn))?.bytes, cache(20, 3).bytes);
    assertEquals(store.snapshots.bytes, 20);
    const branch = take(store, "r4", after("r2"));
    assertEquals(await load(branch.turn), null);
  });

  test("does not save a snapshot that is too large, or whose turn is gone", async (store) => {
    const { turn } = take(store, "r1", CONV);
    assertEquals(await store.snapshots.save(OWNER, turn, cache(1001)), false);
    const saving = store.snapshots.save(OWNER, turn, cache(1000));
    const deleting = store.conversations.delete(OWNER, "conv");
    assertEquals([await saving, await deleting], [false, "done"]);
    assertEquals(store.snapshots.bytes, 0);
    assertEquals(await store.snapshots.save(OWNER, turn, cache(10)), false);
  });

  test("stays within the bytes for snapshots when many are saved at once", async (store) => {
    const turns = Array.from({ length: 8 }, (_, i) => take(store, `r${i}`));
    const saves = turns.map(({ turn }, i) =>
      store.snapshots.save(OWNER, turn, cache(300, i))
    );
    const loads = turns.map(({ turn }) =>
      store.snapshots.load(OWNER, turn, KEY)
    );
    assert((await Promise.all(saves)).every((saved) => saved));
    await Promise.all(loads);
    assertEquals(store.snapshots.bytes, 900);
    const counts = { written: 8, pruned: 5, failed: 0, damaged: 0 };
    assertEquals(store.snapshots.counts, counts);
    const last = turns.slice(-3);
    assertEquals(
      await snapshotsOf(store, turns),
      last.map(({ turn }) => turn),
    );
  });

  test("prunes a thread's own snapshots before the latest of another", async (store) => {
    const other = take(store, "other");
    const one = take(store, "r1", CONV), two = take(store, "r2", CONV);
    for (const { turn } of [other, one, two]) {
      assert(await store.snapshots.save(OWNER, turn, cache(500)));
    }
    assertEquals(
      await snapshotsOf(store, [other, one, two]),
      [other.turn, two.turn],
    );
  });

  test("prunes older snapshots of any thread first, then those used longest ago", async (store) => {
    for (const id of ["a", "b"]) {
      store.conversations.create(OWNER, { id, metadata: {} });
    }
    const turn = (id: string, conversation: string) =>
      take(store, id, { continues: { conversation } });
    const a1 = turn("a1", "a"), b1 = turn("b1", "b"), b2 = turn("b2", "b");
    const c1 = turn("c1", "conv"), c2 = turn("c2", "conv");
    const left = async () => await snapshotsOf(store, [a1, b1, b2, c1, c2]);
    const save = (at: typeof a1, bytes = 250) =>
      store.snapshots.save(OWNER, at.turn, cache(bytes));
    await save(a1);
    await save(b1);
    await save(b2);
    await save(c1);
    assertEquals(await left(), [a1, b1, b2, c1].map((at) => at.turn));
    await store.snapshots.load(OWNER, a1.turn, KEY);
    await save(c2); // b1 and, once c2 is there, c1 are not the latest; b1 was used first
    assertEquals(await left(), [a1, b2, c1, c2].map((at) => at.turn));
    await store.snapshots.load(OWNER, a1.turn, KEY);
    await save(b1, 500); // older than b2: c1 goes, then b2, used before c2 and a1
    assertEquals(await left(), [a1, b1, c2].map((at) => at.turn));
    assertEquals(store.snapshots.bytes, 1000);
  });
}
