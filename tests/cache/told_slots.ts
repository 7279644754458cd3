/**
 * Slots on a GPU whose rows say what they are in place of numbers, used as a decoder uses them: every
 * step checks what queries see and where rows are.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
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
import {
  appended,
  type Held,
  nothingHeld,
  rewound,
  withStarts,
} from "../../lib/cache/held.ts";
import { HIDDEN, type SinkWindow } from "../../lib/cache/sink_window.ts";
import { attendedPositions } from "../reference/decoder_reference.ts";

/** What a row holds: a token of a conversation, its key rotated for a position. */
export interface Row {
  readonly of: number;
  readonly token: number;
  readonly at: number;
}

/** A conversation, told apart from those that were in its slot before. */
export interface Conversation extends Held {
  readonly id: number;
  /** Positions at which its messages begin, all of them. */
  readonly messages: readonly number[];
}

/** A row that is to be written over another one of its slot, rotated on by `shift`. */
export type SlotMove = Move & { readonly slot: number; readonly shift: number };

/** What an idle slot's token writes. */
const GARBAGE: Row = { of: -1, token: -1, at: NaN };

/** Slots side by side, with rows that say what they are in place of numbers. */
export class Slots {
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

  /** Moves that copy a slot's sinks for a query of position `p`, the `t`-th of its chunk. */
  copies(slot: number, held: Held, p: number, t: number): SlotMove[] {
    const shift = sinkShift(held, p);
    if (shift === 0) return [];
    const moves = sinkCopies(this.rows, held.policy, t);
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
    const { policy, seen, count, id, messages } = lane;
    const { sinks, window } = policy;
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
      const attended = attendedPositions(p, {
        sinks,
        window,
        boundaries: messages,
      });
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
      if (ready) {
        moves.push(...this.copies(slot, appended(lane, lane.count), next, 0));
      }
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
  #checkCopies(
    slot: number,
    { id, policy, seen, count, boundaries }: Conversation & Lane,
  ): void {
    const shift = sinkShift({ policy, boundaries }, seen + count);
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
export class Device {
  readonly bank: Slots;
  readonly stage: Slots;
  readonly conversations: (Conversation | null)[];
  /** Tokens past capacity that a conversation came to at most. */
  most = 0;
  #staged: number | null = null;
  #opened = 0;

  constructor(rows: GpuRows, stageRows: GpuRows, slots: number) {
    this.bank = new Slots({ ...rows, copies: 1, spare: slots }, slots);
    this.stage = new Slots(stageRows, 1);
    this.conversations = Array(slots).fill(null);
  }

  /** Starts a conversation. */
  open(slot: number, policy: SinkWindow): void {
    this.conversations[slot] = {
      ...nothingHeld(policy),
      id: this.#opened++,
      messages: [],
    };
    if (this.#staged === slot) this.#staged = null;
  }

  /** Takes back what may be taken back. */
  rewind(slot: number, share: number): void {
    const conversation = this.conversations[slot]!;
    const { policy, seen } = conversation;
    if (seen > policy.capacity) return;
    const count = Math.floor(share * seen);
    this.conversations[slot] = {
      ...conversation,
      ...rewound(conversation, count),
      messages: conversation.messages.filter((start) => start < count),
    };
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

  /** Tokens of one slot, on the stage, of which some begin messages. */
  chunk(slot: number, size: number, starts: readonly number[] = []): void {
    const before = this.conversations[slot]!;
    const count = Math.min(size, chunkLimit(this.stage.rows, before));
    assert(count >= 1, "no token may be appended");
    const told = starts.filter((start) => start < count).sort((a, b) => a - b);
    const messages = told.map((start) => before.seen + start);
    const conversation = this.conversations[slot] = {
      ...before,
      ...withStarts(before, told),
      messages: [...before.messages, ...messages],
    };
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

  /** Brings what is on the stage into its slot. */
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
    const held = appended(conversation, count);
    this.conversations[slot] = { ...conversation, ...held };
    this.most = Math.max(this.most, held.seen - held.policy.capacity);
  }
}
