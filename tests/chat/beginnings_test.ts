import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Policy } from "../../lib/cache/policy.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { type Beginning, Beginnings } from "../../lib/chat/beginnings.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const POLICY: Policy = {
  name: "sink-window",
  rows: new SinkWindow(4, 60),
  evict: "token",
  kvBits: 32,
};
const never = new AbortController().signal;
const snapshot = (bytes: number) => ({ policy: POLICY.rows, seen: 1, bytes });
const of = (text: string, owner = "") => ({ owner, policy: POLICY, text });

function claimOf(beginning: Beginning | null) {
  assert(beginning && "claim" in beginning, "somebody else computes it");
  return beginning.claim;
}

function snapshotOf(beginning: Beginning | null) {
  assert(beginning && "snapshot" in beginning, "it is not there");
  return beginning.snapshot;
}

Deno.test("a beginning too large to be kept still reaches all who wait for it", async () => {
  const beginnings = new Beginnings(10);
  const claim = claimOf(await beginnings.find(of("a"), never));
  const waiting = [1, 2, 3].map(() => beginnings.find(of("a"), never));
  const large = snapshot(11);
  claim.give(large);
  claim.abandon();
  for (const beginning of await Promise.all(waiting)) {
    assertEquals(snapshotOf(beginning), large);
  }
  assertEquals(beginnings.bytes, 0);
  claimOf(await beginnings.find(of("a"), never)).abandon();
  assertEquals(beginnings.counts, { asked: 5, found: 3 });
});

Deno.test("beginnings used last are kept, each owner's and each policy's apart", async () => {
  const beginnings = new Beginnings(10);
  for (const text of ["a", "b"]) {
    claimOf(await beginnings.find(of(text), never)).give(snapshot(5));
  }
  snapshotOf(await beginnings.find(of("a"), never));
  claimOf(await beginnings.find(of("c"), never)).give(snapshot(4));
  snapshotOf(await beginnings.find(of("a"), never));
  claimOf(await beginnings.find(of("b"), never)).abandon();
  claimOf(await beginnings.find(of("a", "other"), never)).abandon();
  for (
    const other of [
      { rows: new SinkWindow(5, 60) },
      { evict: "turn" as const },
      { kvBits: 8 as const },
      { name: "window" as const },
    ]
  ) {
    const policy = { ...POLICY, ...other };
    claimOf(await beginnings.find({ ...of("a"), policy }, never)).abandon();
  }
  assertEquals(beginnings.bytes, 9);
});

Deno.test("whoever waits for a beginning can leave, and takes over if it is abandoned", async () => {
  const beginnings = new Beginnings(10);
  const claim = claimOf(await beginnings.find(of("a"), never));
  const stop = new AbortController();
  const left = assertRejects(
    () => beginnings.find(of("a"), stop.signal),
    Error,
    "went away",
  );
  const next = beginnings.find(of("a"), never);
  stop.abort(new Error("went away"));
  await left;
  claim.abandon();
  claimOf(await next).give(snapshot(1));
  snapshotOf(await beginnings.find(of("a"), never));
});

Deno.test("with no bytes nothing is shared, and nobody waits", async () => {
  const beginnings = new Beginnings(0);
  assertEquals(await beginnings.find(of("a"), never), null);
  assertEquals(await beginnings.find(of("a"), never), null);
  assertEquals(beginnings.counts, { asked: 2, found: 0 });
});
