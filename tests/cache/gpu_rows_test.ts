import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  chunkLimit,
  copyOfSinks,
  type GpuRows,
  heldRows,
  type Lane,
  placements,
  planAppend,
  rowCount,
  sinkCopies,
  sinkShift,
} from "../../lib/cache/gpu_rows.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { Device } from "./told_slots.ts";

const policies = fc.record({
  sinks: fc.nat(5),
  window: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 1, max: 20 }) },
    { weight: 1, arbitrary: fc.integer({ min: 50, max: 140 }) }, // over the step of the rows that a run sees
  ),
});

const rooms = fc.record({
  slots: fc.integer({ min: 1, max: 4 }),
  moreSinks: fc.nat(2),
  moreWindow: fc.oneof(fc.nat(3), fc.nat(150)),
  chunk: fc.integer({ min: 1, max: 30 }),
  copies: fc.integer({ min: 1, max: 30 }),
});

const slots = fc.nat(3);
const actions = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant("step" as const),
        slots: fc.array(slots, { minLength: 1, maxLength: 4 }),
        times: fc.integer({ min: 1, max: 12 }),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("chunk" as const),
        slot: slots,
        size: fc.integer({ min: 1, max: 30 }),
        times: fc.integer({ min: 1, max: 3 }),
        starts: fc.uniqueArray(fc.nat(29), { maxLength: 3 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("open" as const),
        slot: slots,
        policy: policies,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("rewind" as const),
        slot: slots,
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
  ),
  { minLength: 1, maxLength: 60, size: "max" },
);

Deno.test("rows on a GPU: every query sees its sinks and its window once, each as far away as its index in the cache says", () => {
  let most = 0;
  fc.assert(
    fc.property(
      rooms,
      fc.array(policies, { minLength: 1, maxLength: 4 }),
      actions,
      (room, first, actions) => {
        const opened = actions.filter((action) => action.kind === "open");
        const all = [...first, ...opened.map(({ policy }) => policy)];
        const rows = {
          sinks: Math.max(1, ...all.map(({ sinks }) => sinks)) + room.moreSinks,
          window: Math.max(...all.map(({ window }) => window)) +
            room.moreWindow,
        };
        const stage = {
          ...rows,
          copies: Math.min(room.chunk, room.copies),
          spare: room.chunk,
        };
        const device = new Device(
          { ...rows, copies: 1, spare: room.slots },
          stage,
          room.slots,
        );
        const open = (slot: number, of: { sinks: number; window: number }) =>
          device.open(slot, new SinkWindow(of.sinks, of.window));
        const at = (slot: number) => slot % room.slots;
        const isOpen = (slot: number) => device.conversations[slot] !== null;
        for (const [slot, policy] of first.entries()) open(at(slot), policy);
        for (const action of actions) {
          if (action.kind === "open") open(at(action.slot), action.policy);
          else if (action.kind === "rewind") {
            if (isOpen(at(action.slot))) {
              device.rewind(at(action.slot), action.share);
            }
          } else if (action.kind === "chunk") {
            const slot = at(action.slot);
            for (let i = 0; i < action.times && isOpen(slot); i++) {
              device.chunk(slot, action.size, action.starts);
            }
          } else {
            const stepping = [...new Set(action.slots.map(at))].filter(isOpen);
            for (let i = 0; i < action.times && stepping.length > 0; i++) {
              device.step(stepping);
            }
          }
        }
        most = Math.max(most, device.most);
      },
    ),
    { numRuns: 150 },
  );
  assert(most > 300, `${most} tokens past capacity at most`);
});

Deno.test("rows on a GPU: small rooms without sinks, with a window of one and one copy, for 400 tokens", () => {
  for (const [sinks, window] of [[0, 1], [0, 3], [1, 1], [2, 1], [5, 2]]) {
    for (const [chunk, copies] of [[1, 1], [9, 1], [9, 9]] as const) {
      const rows = { sinks: Math.max(1, sinks!), window: window! };
      const device = new Device(
        { ...rows, copies: 1, spare: 2 },
        { ...rows, copies, spare: chunk },
        2,
      );
      const policy = new SinkWindow(sinks!, window!);
      for (const slot of [0, 1]) device.open(slot, policy);
      for (let i = 0; device.most < 400; i++) {
        device.chunk(0, 1 + i % 9);
        device.step([1]);
        if (i % 3 === 0) device.step([0, 1]);
      }
    }
  }
});

const ROWS: GpuRows = { sinks: 4, window: 200, copies: 16, spare: 64 };

Deno.test("rows on a GPU: sinks, ring, copies and spare rows lie one behind the other", () => {
  assertEquals(rowCount(ROWS), 4 + 200 + 16 * 4 + 64);
  assertEquals([0, 1, 16].map((t) => copyOfSinks(ROWS, t)), [204, 208, 268]);
  const policy = new SinkWindow(2, 5);
  assertEquals(sinkCopies(ROWS, policy, 1), [{ from: 0, to: 208 }, {
    from: 1,
    to: 209,
  }]);
  const held = [0, 2, 3, 6, 7, 8, 1000].map((seen) =>
    heldRows(ROWS, { policy, seen })
  );
  assertEquals(held, [4, 4, 5, 8, 9, 9, 9]);
});

Deno.test("rows on a GPU: a chunk ends at capacity, or has as many tokens as there are copies", () => {
  const policy = new SinkWindow(4, 100);
  const limits = (policy: SinkWindow, seen: number[]) =>
    seen.map((seen) => chunkLimit(ROWS, { policy, seen }));
  assertEquals(limits(policy, [0, 40, 41, 87, 88, 89, 104, 1e9]), [
    64,
    64,
    63,
    17,
    16,
    16,
    16,
    16,
  ]);
  assertEquals(limits(new SinkWindow(4, 10), [0, 3, 4, 13, 14]), [
    14,
    11,
    16,
    16,
    16,
  ]);
  assertEquals(limits(new SinkWindow(0, 10), [0, 9, 10, 1e9]), [
    64,
    64,
    64,
    64,
  ]);
});

Deno.test("rows on a GPU: a run sees few rows while conversations are short, in steps of 64", () => {
  const policy = new SinkWindow(4, 200);
  const lane = (seen: number, count = 1): Lane => ({
    policy,
    seen,
    count,
    boundaries: [],
  });
  const rows = { ...ROWS, copies: 1, spare: 3 };
  const plan = (...lanes: (Lane | null)[]) => planAppend(rows, lanes, true);
  assertEquals(plan(lane(0)), { append: 64, total: 65, copies: 0 });
  assertEquals(plan(lane(63)), { append: 64, total: 65, copies: 0 });
  assertEquals(plan(lane(64)), { append: 128, total: 129, copies: 0 });
  assertEquals(plan(lane(199)), { append: 204, total: 205, copies: 0 });
  // The next token is past capacity: its copies are made after this run, behind which it appends.
  assertEquals(plan(lane(203)), { append: 208, total: 209, copies: 1 });
  // An idle slot's rows are not appended over, nor are its copies; an empty slot has none.
  assertEquals(plan(lane(70, 0), null, lane(5)), {
    append: 128,
    total: 131,
    copies: 0,
  });
  assertEquals(plan(lane(500, 0), null, lane(5)), {
    append: 208,
    total: 211,
    copies: 1,
  });
  const chunk = (seen: number, count: number) =>
    planAppend(ROWS, [lane(seen, count)], false);
  assertEquals(chunk(188, 16), { append: 204, total: 220, copies: 0 });
  assertEquals(chunk(189, 16), { append: 268, total: 284, copies: 16 });
});

Deno.test("rows on a GPU: of a chunk longer than the window its last tokens are kept", () => {
  const policy = new SinkWindow(1, 3);
  const rows = { sinks: 2, window: 5, copies: 8, spare: 8 };
  assertEquals(placements(rows, { policy, seen: 1, count: 5 }, 20), [
    { from: 22, to: 4 },
    { from: 23, to: 2 },
    { from: 24, to: 3 },
  ]);
});

Deno.test("rows on a GPU: copies of the sinks are rotated on by what is past capacity, to positions of 10^9", () => {
  const policy = new SinkWindow(4, 10);
  const shift = (policy: SinkWindow, p: number, boundaries: number[] = []) =>
    sinkShift({ policy, boundaries }, p);
  const shifts = [0, 13, 14, 15, 1e9].map((p) => shift(policy, p));
  assertEquals(shifts, [0, 0, 1, 2, 1e9 - 13]);
  // As long as the window begins at the same message, they stay where they are.
  assertEquals(
    [13, 14, 15, 17, 18].map((p) => shift(policy, p, [2, 8])),
    [0, 4, 4, 4, 5],
  );
  assertEquals(shift(new SinkWindow(0, 10), 1e9), 0);
});
