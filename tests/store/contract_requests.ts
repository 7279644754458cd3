/** What a store must do with events, and with requests that come again. @module */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  begin,
  CONV,
  event,
  EVENT_LENGTH,
  numbers,
  OWNER,
  result,
  take,
} from "./_turns.ts";
import type { StoreTest } from "./contract.ts";

/** Adds the tests of events and repeated requests. */
export function requestTests(test: StoreTest): void {
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
    const kept = Math.floor(EVENT_LENGTH / length);
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

  test(
    "tells a client's retry from the same request made anew",
    (store, { clock }) => {
      const request = (first: boolean) => ({
        ...CONV,
        once: { key: "k", fingerprint: "k", first, knownFor: 1000 },
      });
      const outcome = (first: boolean) => {
        const body = { id: "again", status: "in_progress" };
        const begun = store.turns.begin(OWNER, {
          body,
          input: [],
          ...request(first),
        });
        return begun.outcome === "repeated" ? begun.response : begun.outcome;
      };
      const turn = begin(store, "r1", request(true));
      clock.ms += 10_000; // an answer may take its time
      assertEquals(outcome(false), "r1");
      turn.commit(result("r1"));
      clock.ms += 1000;
      assertEquals(outcome(false), "r1");
      take(store, "r2", request(true));
      assertEquals(outcome(false), "r2");
      const busy = begin(store, "other", CONV);
      // Refused, and forgotten all the same: its retry is no retry of r2.
      assertEquals(outcome(true), "busy");
      assertEquals(outcome(false), "busy");
      busy.abandon({ id: "other", status: "failed" });
      take(store, "r3", request(false));
      clock.ms += 1001;
      assertEquals(outcome(false), "begun");
    },
  );

  test("shows the last event with the commit, or not at all", async (store) => {
    const turn = begin(store, "r1", CONV);
    turn.append(event(0));
    const read: unknown[] = [];
    const events = store.responses.events(OWNER, "r1", 0)!;
    const next = events.next().then((step) =>
      read.push(step.value, store.responses.read(OWNER, "r1")?.body.status)
    );
    const setup = { model: "other", policy: {} };
    take(store, "r0", { continues: null });
    const output = [{ id: "x" }, { id: "x" }];
    assertThrows(() =>
      turn.commit(result("r1", { output, setup, event: event(1) }))
    );
    await Promise.resolve();
    assertEquals(read, []);
    turn.commit(result("r1", { event: event(1) }));
    await next;
    assertEquals(read, [event(1), "completed"]);
    assertEquals(await numbers(store.responses.events(OWNER, "r1", -1)), [
      0,
      1,
    ]);
    assertEquals(turn.gone, true);
  });

  test("takes a request again whose turn came to nothing", (store) => {
    const request = { ...CONV, once: { key: "k", fingerprint: "f" } };
    begin(store, "r1", request).abandon({ id: "r1", status: "failed" });
    assertEquals(take(store, "r2", request).number, 1);
  });
}
