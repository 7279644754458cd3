/** What a store must do with turns, in conversations and in chains. @module */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { GoneError } from "../../lib/store/under_way.ts";
import type { TurnRequest } from "../../lib/store/turns.ts";
import {
  after,
  ALL,
  begin,
  CONV,
  item,
  itemsOf,
  logOf,
  OWNER,
  result,
  SETUP,
  take,
  tokensOf,
} from "./_turns.ts";
import type { StoreTest } from "./contract.ts";

/** Adds the tests of turns. */
export function turnTests(test: StoreTest): void {
  test("shows nothing of a turn before its commit but a response in progress", (store) => {
    store.items.add(OWNER, "conv", [item("before")]);
    const turn = begin(store, "r1", CONV);
    assertEquals(turn.start.pending, [item("before")]);
    assertEquals(turn.start.base, null);
    assertEquals(itemsOf(store, "conv"), ["before"]);
    assertEquals(store.responses.read(OWNER, "r1"), {
      body: { id: "r1", status: "in_progress" },
      conversation: "conv",
      position: null,
    });
    assertEquals(
      store.responses.input(OWNER, "r1", ALL)?.data,
      [item("r1_in")],
    );

    const position = turn.commit(result("r1"));
    assertEquals([position.number, position.tokens], [1, 2]);
    assertEquals(itemsOf(store, "conv"), ["before", "r1_in", "r1_out"]);
    assertEquals(store.responses.read(OWNER, "r1"), {
      body: result("r1").body,
      conversation: "conv",
      position,
    });
    assertEquals(begin(store, "r2", CONV).start.pending, []);
  });

  test("grows a conversation's log turn by turn", (store) => {
    const first = take(store, "r1", CONV);
    const second = begin(store, "second", CONV);
    assertEquals(second.start.base, first);
    assertEquals(second.start.setup, SETUP);
    assertEquals(second.branches, false);
    const end = second.commit(result("second"));
    assertEquals(
      [end.thread, end.number, end.tokens],
      [first.thread, 2, 8],
    );
    assertEquals(logOf(store, end.turn), ["r1", "second"]);
    assertEquals(logOf(store, first.turn), ["r1"]);
    assertEquals(store.turns.read(OWNER, end.turn), {
      tokens: tokensOf("second"),
      boundaries: ["second"],
    });
  });

  test("keeps token ids of 32 bits, whatever part of a buffer they are", (store) => {
    const tokens = Uint32Array.of(7, 0, 2 ** 32 - 1, 1, 7).subarray(1, 4);
    const { turn } = begin(store, "r").commit(result("r", { tokens }));
    assertEquals(
      store.turns.log(OWNER, turn)?.turns[0]?.tokens,
      Uint32Array.of(0, 2 ** 32 - 1, 1),
    );
  });

  test("refuses to go on with another model or policy, and then changes nothing", (store) => {
    take(store, "r1", CONV);
    const turn = begin(store, "r2", CONV);
    for (
      const setup of [{ ...SETUP, model: "b" }, {
        ...SETUP,
        policy: { name: "full" },
      }]
    ) {
      const commit = () => turn.commit(result("r2", { setup }));
      assertThrows(commit, RangeError, '"sink-window"');
    }
    assertEquals(itemsOf(store, "conv"), ["r1_in", "r1_out"]);
    assertEquals(turn.commit(result("r2")).number, 2);
  });

  test("takes a commit whole or not at all", (store) => {
    const turn = begin(store, "r1", CONV);
    const output = [item("x"), item("r1_in")]; // an id that is taken
    assertThrows(() => turn.commit(result("r1", { output })), Error, "UNIQUE");
    assertEquals(itemsOf(store, "conv"), []);
    assertEquals(store.responses.read(OWNER, "r1")?.position, null);
    assertEquals(turn.commit(result("r1")).number, 1);
  });

  test("has one turn of a conversation under way", async (store) => {
    const turn = begin(store, "r1", CONV);
    const begun = () =>
      store.turns.begin(OWNER, {
        body: { id: "r2", status: "in_progress" },
        input: [],
        ...CONV,
      }).outcome;
    store.conversations.create(OWNER, { id: "free", metadata: {} });
    assertEquals(begun(), "busy");
    assertEquals(store.responses.read(OWNER, "r2"), null);
    assertEquals(store.items.add(OWNER, "conv", [item("a")]), "busy");
    take(store, "r3", { continues: { conversation: "free" } });
    turn.commit(result("r1"));
    const next = begin(store, "r4", CONV);
    assertEquals(await store.items.delete(OWNER, "conv", "r1_in"), "busy");
    next.abandon({ id: "r4", status: "failed" });
    assertEquals(begun(), "begun");
  });

  test("abandons a turn but for the response that says why", (store) => {
    const turn = begin(store, "r1", CONV);
    const body = { id: "r1", status: "cancelled" };
    turn.abandon(body);
    turn.abandon({ ...body, status: "failed" });
    assertThrows(() => turn.commit(result("r1")), GoneError);
    assertEquals(store.responses.read(OWNER, "r1"), {
      body,
      conversation: "conv",
      position: null,
    });
    assertEquals(itemsOf(store, "conv"), []);
    const committed = begin(store, "r2", CONV);
    const position = committed.commit(result("r2"));
    committed.abandon({ id: "r2", status: "failed" });
    assertEquals(store.responses.read(OWNER, "r2")?.position, position);
    assertThrows(() => committed.commit(result("r2")), GoneError);
  });

  test("goes on from the head of a chain in place, and branches from older ones", (store) => {
    const one = take(store, "r1");
    const two = take(store, "r2", after("r1"));
    assertEquals([two.thread, two.number], [one.thread, 2]);
    const turn = begin(store, "r3", after("r1"));
    assert(turn.branches);
    assertEquals(turn.start.base, one);
    const three = turn.commit(result("r3"));
    assert(three.thread !== one.thread);
    assertEquals([three.number, three.tokens], [2, 4]);
    assertEquals(logOf(store, three.turn), ["r1", "r3"]);
    assertEquals(logOf(store, two.turn), ["r1", "r2"]);
    assertEquals(take(store, "r4", after("r3")).thread, three.thread);
    const five = take(store, "r5", after("r2"));
    assertEquals([five.thread, five.number], [one.thread, 3]);
  });

  test("branches from a head that another turn goes on from", (store) => {
    const one = take(store, "r1");
    const first = begin(store, "r2", after("r1"));
    const second = begin(store, "r3", after("r1"));
    assertEquals([first.branches, second.branches], [false, true]);
    const three = second.commit(result("r3"));
    const two = first.commit(result("r2"));
    assertEquals(two.thread, one.thread);
    assert(three.thread !== one.thread);
    assertEquals(logOf(store, two.turn), ["r1", "r2"]);
    assertEquals(logOf(store, three.turn), ["r1", "r3"]);
  });

  test("branches from a conversation's response, whose conversation stays as it is", async (store) => {
    take(store, "r1", CONV);
    const turn = begin(store, "r2", after("r1"));
    assert(turn.branches);
    const two = turn.commit(result("r2"));
    assertEquals(store.responses.read(OWNER, "r2")?.conversation, null);
    assertEquals(itemsOf(store, "conv"), ["r1_in", "r1_out"]);
    await store.conversations.delete(OWNER, "conv");
    assertEquals(logOf(store, two.turn), ["r1", "r2"]);
    assertEquals(take(store, "r3", after("r2")).number, 3);
  });

  test("continues only what is there and has been committed", (store) => {
    const outcome = (continues: TurnRequest["continues"]) =>
      store.turns.begin(OWNER, {
        body: { id: "new", status: "in_progress" },
        input: [],
        continues,
      }).outcome;
    assertEquals(outcome({ conversation: "nowhere" }), "missing");
    assertEquals(outcome({ response: "nowhere" }), "missing");
    const turn = begin(store, "r1");
    assertEquals(outcome({ response: "r1" }), "busy");
    turn.abandon({ id: "r1", status: "failed" });
    assertEquals(outcome({ response: "r1" }), "missing");
  });
}
