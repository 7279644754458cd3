/** What a store must do, wherever it lives. @module */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { GoneError } from "../../lib/store/under_way.ts";
import type { Store } from "../../lib/store/store.ts";
import type { TurnRequest } from "../../lib/store/turns.ts";
import type { StreamEvent } from "../../lib/store/records.ts";
import {
  begin,
  cache,
  item,
  itemsOf,
  KEY,
  logOf,
  OWNER,
  type Place,
  result,
  SETUP,
  snapshotsOf,
  take,
} from "./_turns.ts";

const CONV = { continues: { conversation: "conv" } };
const ALL = { limit: 100, order: "asc" } as const;

function after(response: string) {
  return { continues: { response } };
}

function event(sequence_number: number): StreamEvent {
  return { type: "delta", sequence_number, delta: `d${sequence_number}\n` };
}

async function numbers(
  events: AsyncIterable<StreamEvent> | null,
): Promise<number[]> {
  assert(events);
  const read = await Array.fromAsync(events);
  for (const one of read) assertEquals(one, event(one.sequence_number));
  return read.map(({ sequence_number }) => sequence_number);
}

/** Adds the tests of stores in one kind of place. */
export function storeContract(name: string, place: () => Promise<Place>): void {
  function test(
    what: string,
    body: (store: Store, tools: { clock: { ms: number } }) => unknown,
  ) {
    Deno.test(`store ${name} ${what}`, async () => {
      await using somewhere = await place();
      const clock = { ms: 1_700_000_000_000 };
      const store = await somewhere.open({
        now: () => clock.ms,
        eventLength: 400,
      });
      try {
        store.conversations.create(OWNER, { id: "conv", metadata: { a: "1" } });
        await body(store, { clock });
      } finally {
        await store.close();
      }
    });
  }

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
    assertEquals(
      store.turns.log(OWNER, end.turn, first.turn)?.turns.map((turn) =>
        turn.boundaries
      ),
      [["second"]],
    );
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

  test("follows events from any number on, before and after the end", async (store) => {
    const turn = begin(store, "r1");
    turn.append(event(0));
    turn.append(event(1));
    const readers = [-1, 0, 1, 2, 3].map((number) =>
      numbers(store.responses.events(OWNER, "r1", number))
    );
    const stopped = store.responses.events(OWNER, "r1", 1)!;
    const waiting = stopped.next();
    await stopped.return();
    assertEquals(await waiting, { done: true, value: undefined });
    turn.append(event(2));
    await Promise.resolve();
    turn.append(event(3));
    assertThrows(() => turn.append(event(3)), RangeError, "next one is 4");
    assertThrows(() => turn.append(event(5)), RangeError, "next one is 4");
    turn.commit(result("r1"));
    const expected = [[0, 1, 2, 3], [1, 2, 3], [2, 3], [3], []];
    assertEquals(await Promise.all(readers), expected);
    for (const [i, read] of expected.entries()) {
      const events = store.responses.events(OWNER, "r1", i - 1);
      assertEquals(await numbers(events), read);
    }
  });

  test("keeps the events of an abandoned turn, and none of one that was not streamed", async (store) => {
    const turn = begin(store, "r1");
    turn.append(event(0));
    turn.abandon({ id: "r1", status: "cancelled" });
    assertEquals(
      await numbers(store.responses.events(OWNER, "r1", -1)),
      [0],
    );
    take(store, "r2");
    assertEquals(store.responses.events(OWNER, "r2", -1), null);
    assertEquals(store.responses.events(OWNER, "nowhere", -1), null);
  });

  test("keeps the last events up to a length, and says so of the others", async (store) => {
    const turn = begin(store, "r1");
    const late = store.responses.events(OWNER, "r1", -1)!;
    for (let i = 0; i < 100; i++) turn.append(event(i));
    const length = JSON.stringify(event(99)).length;
    const kept = Math.floor(400 / length); // the test stores' `eventLength`
    const first = 100 - kept;
    const read = (number: number) =>
      numbers(store.responses.events(OWNER, "r1", number));
    async function check() {
      assertEquals((await read(first - 1)).length, kept);
      await assertRejects(() => read(first - 2), RangeError, `is ${first}`);
    }
    await assertRejects(() => late.next(), RangeError, `is ${first}`);
    turn.commit(result("r1"));
    await check();
  });

  test(
    "forgets events a day after their response's end",
    async (store, { clock }) => {
      const turn = begin(store, "r1");
      turn.append(event(0));
      turn.commit(result("r1"));
      clock.ms += 24 * 3600 * 1000;
      take(store, "r2");
      assertEquals(
        await numbers(store.responses.events(OWNER, "r1", -1)),
        [0],
      );
      clock.ms++;
      take(store, "r3");
      assertEquals(store.responses.events(OWNER, "r1", -1), null);
      assertEquals(store.responses.read(OWNER, "r1")?.body.status, "completed");
    },
  );

  test(
    "takes a request with a key once, for a day",
    async (store, { clock }) => {
      const request = (fingerprint: string, key = "k") => ({
        ...CONV,
        once: { key, fingerprint },
      });
      const again = (fingerprint: string) =>
        store.turns.begin(OWNER, {
          body: { id: "again", status: "in_progress" },
          input: [],
          ...request(fingerprint),
        });
      const turn = begin(store, "r1", request("f"));
      const repeated = { outcome: "repeated", response: "r1" } as const;
      assertEquals(again("f"), repeated);
      assertEquals(again("g"), { outcome: "key-reused" });
      turn.commit(result("r1"));
      assertEquals(again("f"), repeated);
      assertEquals(again("g"), { outcome: "key-reused" });
      take(store, "r2", request("f", "other key"));
      clock.ms += 24 * 3600 * 1000;
      assertEquals(again("f"), repeated);
      await store.responses.delete(OWNER, "r1");
      assertEquals(again("f"), repeated);
      clock.ms++;
      assertEquals(again("f").outcome, "begun");
    },
  );

  test("takes a request again whose turn came to nothing", (store) => {
    const request = { ...CONV, once: { key: "k", fingerprint: "f" } };
    begin(store, "r1", request).abandon({ id: "r1", status: "failed" });
    assertEquals(take(store, "r2", request).number, 1);
  });

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
