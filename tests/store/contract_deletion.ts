/** What a store must erase, and what must stay. @module */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { GoneError } from "../../lib/store/under_way.ts";
import {
  after,
  begin,
  cache,
  CONV,
  event,
  itemsOf,
  logOf,
  OWNER,
  result,
  snapshotsOf,
  take,
} from "./_turns.ts";
import type { StoreTest } from "./contract.ts";

/** Adds the tests of deletion. */
export function deletionTests(test: StoreTest): void {
  test("erases the log behind a deleted item, and takes the rest in anew", async (store) => {
    const one = take(store, "r1", CONV);
    const two = take(store, "r2", CONV);
    take(store, "r3", CONV);
    await store.snapshots.save(OWNER, one.turn, cache(10));
    await store.snapshots.save(OWNER, two.turn, cache(10));
    assertEquals(await store.items.delete(OWNER, "conv", "r2_in"), "done");
    assertEquals(store.turns.log(OWNER, two.turn), null);
    assertEquals(await snapshotsOf(store, [one, two]), [one.turn]);
    assertEquals(store.responses.read(OWNER, "r1")?.position, one);
    assertEquals(store.responses.read(OWNER, "r3")?.position, null);
    const turn = begin(store, "r4", CONV);
    assertEquals(
      turn.start.pending.map(({ id }) => id),
      ["r2_out", "r3_in", "r3_out"],
    );
    assertEquals(turn.start.base, one);
    const four = turn.commit(result("r4"));
    assertEquals(four.number, 2);
    assertEquals(logOf(store, four.turn), ["r1", "r4"]);
  });

  test("begins anew, with another model too, once no turn is left in the log", async (store) => {
    take(store, "r1", CONV);
    await store.items.delete(OWNER, "conv", "r1_in");
    const setup = { model: "other", policy: {} };
    const { turn } = begin(store, "r2", CONV).commit(result("r2", { setup }));
    assertEquals(store.turns.log(OWNER, turn)?.setup, setup);
  });

  test("erases all of a conversation", async (store) => {
    const one = take(store, "r1", CONV);
    await store.snapshots.save(OWNER, one.turn, cache(10));
    const turn = begin(store, "r2", CONV);
    const events = store.responses.events(OWNER, "r2", -1);
    assertEquals(await store.conversations.delete(OWNER, "conv"), "done");
    assertEquals(await store.conversations.delete(OWNER, "conv"), "missing");
    assertEquals(store.conversations.read(OWNER, "conv"), null);
    assertEquals(itemsOf(store, "conv"), null);
    for (const id of ["r1", "r2"]) {
      assertEquals(store.responses.read(OWNER, id), null);
      assertEquals(store.responses.events(OWNER, id, -1), null);
    }
    assertEquals(store.turns.log(OWNER, one.turn), null);
    assertEquals(store.snapshots.bytes, 0);
    assertThrows(() => turn.commit(result("r2")), GoneError);
    assertThrows(() => turn.append(event(0)), GoneError);
    turn.abandon({ id: "r2", status: "failed" });
    assertEquals(store.responses.read(OWNER, "r2"), null);
    await assertRejects(() => Array.fromAsync(events!), GoneError);
  });

  test("erases a response, and a conversation's items and log stay", async (store) => {
    take(store, "r1", CONV);
    const two = take(store, "r2", CONV);
    assertEquals(await store.responses.delete(OWNER, "r2"), "done");
    assertEquals(await store.responses.delete(OWNER, "r2"), "missing");
    assertEquals(store.responses.read(OWNER, "r2"), null);
    assertEquals(itemsOf(store, "conv")?.length, 4);
    assertEquals(logOf(store, two.turn), ["r1", "r2"]);
    assertEquals(take(store, "r3", CONV).number, 3);
  });

  test("erases a chain's log behind its last response", async (store) => {
    take(store, "r1");
    const two = take(store, "r2", after("r1"));
    const three = take(store, "r3", after("r2"));
    await store.responses.delete(OWNER, "r2");
    assertEquals(logOf(store, three.turn), ["r1", "r2", "r3"]);
    await store.responses.delete(OWNER, "r3");
    for (const { turn } of [two, three]) {
      assertEquals(store.turns.log(OWNER, turn), null);
    }
    const four = take(store, "r4", after("r1"));
    assertEquals([four.thread, four.number], [two.thread, 2]);
    await store.responses.delete(OWNER, "r1");
    await store.responses.delete(OWNER, "r4");
    assertEquals(store.turns.log(OWNER, four.turn), null);
  });

  test("ends a turn whose response or previous response is deleted", async (store) => {
    take(store, "r1");
    const turn = begin(store, "r2", after("r1"));
    await store.responses.delete(OWNER, "r1");
    assertThrows(() => turn.commit(result("r2")), GoneError);
    turn.abandon({ id: "r2", status: "failed" });
    assertEquals(store.responses.read(OWNER, "r2")?.body.status, "failed");

    const next = begin(store, "r3", CONV);
    await store.responses.delete(OWNER, "r3");
    assertThrows(() => next.commit(result("r3")), GoneError);
    assertEquals(begin(store, "r4", CONV).start.base, null);
  });
}
