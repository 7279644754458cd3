import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  chunkLimit,
  copyOfSinks,
  fillGpuMask,
  type GpuRows,
  heldRows,
  type Lane,
  type Move,
  placements,
  planAppend,
  rowCount,
  sinkCopies,
  sinkShift,
} from "../../lib/cache/gpu_rows.ts";
import { type Held, HIDDEN, SinkWindow } from "../../lib/cache/sink_window.ts";
import { attendedPositions } from "../reference/decoder_reference.ts";

/** What a row holds: a token of a conversation, its key rotated for a position. */
interface Row {
  readonly of: number;
  readonly token: number;
  readonly at: number;
}

interface Conversation extends Held {
  readonly id: number;
}

type SlotMove = Move & { readonly slot: number; readonly shift: number };

/** What an idle slot's token writes. */
const GARBAGE: Row = { of: -1, token: -1, at: NaN };

/** Slots side by side, with rows that say what they are in place of numbers. */
class Slots {
  readonly rows: GpuRows;
  readonly slots: (Row | null)[][];

  constructor(rows: GpuRows, slots: number) {
    this.rows = rows;
    this.slots = Array.from(
      { length: slots },
      () => Array<Row | null>(rowCount(rows)).fill(null),
    );
  }

  /** All moves at once: their order must not matter. */
  move(moves: readonly SlotMove[]): void {
    const name = (slot: number, row: number) => `${slot}/${row}`;
    const sources = new Set(moves.map(({ slot, from }) => name(slot, from)));
    const targets = moves.map(({ slot, to }) => name(slot, to));
    assertEquals(new Set(targets).size, targets.length, "two for one place");
    for (const target of targets) {
      assert(!sources.has(target), `${target} is read and written`);
    }
    for (const { slot, from, to, shift } of moves) {
      const rows = this.slots[slot]!;
      assert(to < rows.length, `no row ${to}`);
      const row = rows[from]!;
      rows[to] = { ...row, at: row.at + shift };
    }
  }

  copies(slot: number, { policy }: Held, p: number, t: number): SlotMove[] {
    const shift = sinkShift(policy, p);
    if (shift === 0) return [];
    const moves = sinkCopies(this.rows, policy, t);
    return moves.map((move) => ({ ...move, slot, shift }));
  }

  /** Appends every slot's new rows as the operator does, and checks what each query sees. */
  run(
    lanes: readonly ((Conversation & Lane) | null)[],
    ready: boolean,
  ): number {
    const { append, total } = planAppend(this.rows, lanes, ready);
    const count = Math.max(...lanes.map((lane) => lane?.count ?? 0));
    assertEquals(total, append + lanes.length - 1 + count);
    assert(total <= rowCount(this.rows), `${total} rows are seen`);
    if (!ready) {
      const [lane] = lanes as [Conversation & Lane];
      this.move(
        Array.from({ length: count }, (_, t) => t)
          .flatMap((t) => this.copies(0, lane, lane.seen + t, t)),
      );
    }
    for (const [slot, lane] of lanes.entries()) {
      const rows = this.slots[slot]!;
      for (let t = 0; t < count; t++) {
        const token = (lane?.seen ?? 0) + t;
        rows[append + slot + t] = lane && lane.count > 0
          ? { of: lane.id, token, at: token }
          : GARBAGE;
      }
      if (lane && lane.count > 0) {
        this.#checkQueries(slot, lane, append + slot, total);
      }
    }
    return append;
  }

  #checkQueries(
    slot: number,
    lane: Conversation & Lane,
    append: number,
    total: number,
  ): void {
    const { policy, seen, count, id } = lane;
    const mask = new Float32Array(count * total).fill(7);
    fillGpuMask(mask, this.rows, lane, append);
    assert(mask.every((value) => value === 0 || value === HIDDEN));
    for (let t = 0; t < count; t++) {
      const p = seen + t;
      const visible: Row[] = [];
      for (let row = 0; row < total; row++) {
        if (mask[t * total + row] !== 0) continue;
        assert(row <= append + t, `the query of ${p} sees a later row`);
        visible.push(this.slots[slot]![row]!);
      }
      visible.sort((a, b) => a.token - b.token);
      const attended = attendedPositions(p, policy);
      const own = attended.length - 1; // the query's index in the cache
      assertEquals(
        visible.map(({ of, token, at }) => [of, token, p - at]),
        attended.map((token, index) => [id, token, own - index]),
        `query of ${p}`,
      );
    }
  }

  /** Puts a run's new rows into their places. */
  commit(
    lanes: readonly ((Conversation & Lane) | null)[],
    append: number,
    ready: boolean,
  ): void {
    const before = this.slots.map((rows) => rows.slice());
    const moves: SlotMove[] = [];
    for (const [slot, lane] of lanes.entries()) {
      if (!lane || lane.count === 0) continue;
      for (const move of placements(this.rows, lane, append + slot)) {
        moves.push({ ...move, slot, shift: 0 });
      }
      const next = lane.seen + lane.count;
      if (ready) moves.push(...this.copies(slot, lane, next, 0));
    }
    this.move(moves);
    for (const [slot, lane] of lanes.entries()) {
      if (!lane) continue;
      this.#checkPlaces(slot, lane, before[slot]!);
      if (ready) this.#checkCopies(slot, lane);
    }
  }

  /** Every row that is kept lies where the policy says, and no other of those rows was written. */
  #checkPlaces(
    slot: number,
    { id, policy, seen, count }: Conversation & Lane,
    before: readonly (Row | null)[],
  ): void {
    const next = seen + count;
    const kept = next === 0 ? [] : attendedPositions(next - 1, policy);
    const rows = this.slots[slot]!;
    for (const p of kept) {
      const { part, index } = policy.place(p);
      const place = part === "sinks" ? index : this.rows.sinks + index;
      assert(place < heldRows(this.rows, { policy, seen: next }));
      assertEquals(rows[place], { of: id, token: p, at: p });
      if (p < seen) assert(rows[place] === before[place], `${p} was rewritten`);
    }
  }

  /** The sinks' copies for a slot's next token are there, whether it idled or not. */
  #checkCopies(slot: number, { id, policy, seen, count }: Conversation & Lane) {
    const shift = sinkShift(policy, seen + count);
    if (shift === 0) return;
    const first = copyOfSinks(this.rows, 0);
    for (let i = 0; i < policy.sinks; i++) {
      const copy = this.slots[slot]![first + i];
      assertEquals(copy, { of: id, token: i, at: i + shift });
    }
  }

  /** Copies what is kept of a conversation. */
  copyTo(slot: number, to: Slots, toSlot: number, held: Held): void {
    const kept = heldRows(this.rows, held);
    const target = to.slots[toSlot]!;
    target.splice(0, kept, ...this.slots[slot]!.slice(0, kept));
  }
}

/** A bank and a stage, used as a decoder on a GPU uses them. */
class Device {
  readonly bank: Slots;
  readonly stage: Slots;
  readonly conversations: (Conversation | null)[];
  most = 0;
  #staged: number | null = null;
  #opened = 0;

  constructor(rows: GpuRows, stageRows: GpuRows, slots: number) {
    this.bank = new Slots({ ...rows, copies: 1, spare: slots }, slots);
    this.stage = new Slots(stageRows, 1);
    this.conversations = Array(slots).fill(null);
  }

  open(slot: number, policy: SinkWindow): void {
    this.conversations[slot] = { id: this.#opened++, policy, seen: 0 };
    if (this.#staged === slot) this.#staged = null;
  }

  rewind(slot: number, share: number): void {
    const conversation = this.conversations[slot]!;
    const { policy, seen } = conversation;
    if (seen > policy.capacity) return;
    const count = Math.floor(share * seen);
    this.conversations[slot] = { ...conversation, seen: count };
  }

  /** One token each of some slots; those between idle, those behind the last are left out. */
  step(stepping: readonly number[]): void {
    if (this.#staged !== null && stepping.includes(this.#staged)) {
      this.clearStage();
    }
    const lanes = this.conversations.slice(0, Math.max(...stepping) + 1).map(
      (conversation, slot) =>
        conversation &&
        { ...conversation, count: stepping.includes(slot) ? 1 : 0 },
    );
    const append = this.bank.run(lanes, true);
    // What the stage is ahead with is not in its slot.
    const here = lanes.map((lane, slot) => slot === this.#staged ? null : lane);
    this.bank.commit(here, append, true);
    for (const slot of stepping) this.#appended(slot, 1);
  }

  /** Several tokens of one slot, on the stage. */
  chunk(slot: number, size: number): void {
    const conversation = this.conversations[slot]!;
    const count = Math.min(size, chunkLimit(this.stage.rows, conversation));
    assert(count >= 1, "no token may be appended");
    if (this.#staged !== slot) {
      this.clearStage();
      if (conversation.seen > 0) {
        this.bank.copyTo(slot, this.stage, 0, conversation);
      }
    }
    const lanes = [{ ...conversation, count }];
    this.stage.commit(lanes, this.stage.run(lanes, false), false);
    this.#staged = slot;
    this.#appended(slot, count);
  }

  clearStage(): void {
    const slot = this.#staged;
    if (slot === null) return;
    const held = this.conversations[slot]!;
    this.stage.copyTo(0, this.bank, slot, held);
    this.bank.move(this.bank.copies(slot, held, held.seen, 0));
    this.#staged = null;
  }

  #appended(slot: number, count: number): void {
    const conversation = this.conversations[slot]!;
    const seen = conversation.seen + count;
    this.conversations[slot] = { ...conversation, seen };
    this.most = Math.max(this.most, seen - conversation.policy.capacity);
  }
}

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
              device.chunk(slot, action.size);
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
  const lane = (seen: number, count = 1): Lane => ({ policy, seen, count });
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
  const shifts = [0, 13, 14, 15, 1e9].map((p) => sinkShift(policy, p));
  assertEquals(shifts, [0, 0, 1, 2, 1e9 - 13]);
  assertEquals(sinkShift(new SinkWindow(0, 10), 1e9), 0);
});
