import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import {
  type Kept,
  SnapshotStore,
} from "../../lib/scheduler/snapshot_store.ts";

function swapped(memory: string, bytes: number): Kept<string> {
  return { memory, snapshot: { policy: new SinkWindow(0, 1), seen: 0, bytes } };
}

const memories = (store: SnapshotStore<string>) =>
  [...store].map(({ memory }) => memory);

Deno.test("swap store forgets the least recently added first", () => {
  const store = new SnapshotStore<string>(10);
  for (const name of ["a", "b", "c"]) assert(store.add(swapped(name, 3)));
  assert(store.add(swapped("d", 5)));
  assertEquals([memories(store), store.bytes], [["c", "d"], 8]);
});

Deno.test("swap store does not keep what alone is too large, and keeps the rest then", () => {
  const store = new SnapshotStore<string>(10);
  store.add(swapped("a", 3));
  assert(!store.add(swapped("b", 11)));
  assertEquals([memories(store), store.bytes], [["a"], 3]);
  assert(store.add(swapped("c", 10)));
  assertEquals([memories(store), store.bytes], [["c"], 10]);
});

Deno.test("swap store gives back the bytes of what is deleted, once", () => {
  const store = new SnapshotStore<string>(10);
  const a = swapped("a", 4);
  store.add(a);
  store.add(swapped("b", 5));
  assert(store.delete(a));
  assert(!store.delete(a));
  assertEquals([memories(store), store.bytes], [["b"], 5]);
});

Deno.test("swap store refuses a capacity that is negative or no number", () => {
  for (const capacity of [-1, NaN]) {
    assertThrows(() => new SnapshotStore(capacity), RangeError, `${capacity}`);
  }
});

Deno.test("swap store holds the latest that fit, and counts their bytes", () => {
  fc.assert(
    fc.property(
      fc.nat(30),
      fc.array(fc.tuple(fc.nat(40), fc.boolean()), { maxLength: 30 }),
      (capacity, sizes) => {
        const store = new SnapshotStore<string>(capacity);
        let expected: Kept<string>[] = [];
        const total = () => expected.reduce((n, s) => n + s.snapshot.bytes, 0);
        for (const [i, [bytes, deletesFirst]] of sizes.entries()) {
          if (deletesFirst && expected.length > 0) {
            store.delete(expected.shift()!);
          }
          const added = swapped(`${i}`, bytes);
          if (store.add(added)) expected.push(added);
          else assert(bytes > capacity);
          while (total() > capacity) expected = expected.slice(1);
          assertEquals([...store], expected);
          assertEquals(store.bytes, total());
        }
      },
    ),
  );
});
