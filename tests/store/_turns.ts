/** What the tests of the store share: short ways to take turns. @module */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import type { Item, Position, StreamEvent } from "../../lib/store/records.ts";
import {
  openStore,
  type Store,
  type StoreOptions,
} from "../../lib/store/store.ts";
import type { Turn, TurnResult } from "../../lib/store/turn.ts";
import type { TurnRequest } from "../../lib/store/turns.ts";

export const OWNER = "ada";
export const SETUP = { model: "5a3c", policy: { name: "sink-window" } };
/** The conversation that every test of the contract has. */
export const CONV = { continues: { conversation: "conv" } };
/** All of a list. */
export const ALL = { limit: 1_000_000, order: "asc" } as const;
/** The `eventLength` of the contract's stores. */
export const EVENT_LENGTH = 400;
export const KEY = { model: "5a3c", policy: "sink-window", precision: "f16" };

/** Where a test's stores are: in memory, or in a directory that is removed at the end. */
export interface Place extends AsyncDisposable {
  /** `null`: in memory. */
  readonly directory: string | null;
  open(options?: Partial<StoreOptions>): Promise<Store>;
}

export function memory(): Promise<Place> {
  return Promise.resolve({
    directory: null,
    open: (options) => openStore(null, { snapshotBytes: 1000, ...options }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

export async function temporaryDirectory(): Promise<
  Place & { readonly directory: string }
> {
  const parent = await Deno.makeTempDir({ prefix: "everstream_store_" });
  const directory = join(parent, "data");
  return {
    directory,
    open: (options) =>
      openStore(directory, { snapshotBytes: 1000, ...options }),
    [Symbol.asyncDispose]: () => Deno.remove(parent, { recursive: true }),
  };
}

/** An item whose id is its text. */
export function item(id: string): Item {
  return { id, type: "message", text: `text of ${id}` };
}

/** Begins a turn that must begin; its response has `id`, its input is one item. */
export function begin(
  store: Store,
  id: string,
  request: Partial<TurnRequest> & { owner?: string } = {},
): Turn {
  const { owner = OWNER, ...rest } = request;
  const begun = store.turns.begin(owner, {
    body: { id, status: "in_progress" },
    input: [item(`${id}_in`)],
    continues: null,
    ...rest,
  });
  assert(begun.outcome === "begun", `${id}: ${begun.outcome}`);
  return begun.turn;
}

/** What a turn comes to whose response has `id`: one item, and as many tokens as `id` has letters. */
export function result(
  id: string,
  changed: Partial<TurnResult> = {},
): TurnResult {
  return {
    body: { id, status: "completed", text: `answer of ${id}` },
    output: [item(`${id}_out`)],
    tokens: tokensOf(id),
    boundaries: [id],
    setup: SETUP,
    ...changed,
  };
}

/** The tokens of {@linkcode result}. */
export function tokensOf(id: string): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(id, (letter) => letter.charCodeAt(0) + (1 << 20));
}

/** A request that goes on from a response. */
export function after(response: string): { continues: { response: string } } {
  return { continues: { response } };
}

/** An event whose text is its number. */
export function event(sequence_number: number): StreamEvent {
  return { type: "delta", sequence_number, delta: `d${sequence_number}\n` };
}

/** Reads events, all made by {@linkcode event}, to their end; gives their numbers. */
export async function numbers(
  events: AsyncIterable<StreamEvent> | null,
): Promise<number[]> {
  assert(events);
  const read = await Array.fromAsync(events);
  for (const one of read) assertEquals(one, event(one.sequence_number));
  return read.map(({ sequence_number }) => sequence_number);
}

/** Takes a whole turn. */
export function take(
  store: Store,
  id: string,
  request: Partial<TurnRequest> & { owner?: string } = {},
): Position {
  return begin(store, id, request).commit(result(id));
}

/** The log up to a turn, as the ids of the responses that were taken by {@linkcode take}. */
export function logOf(store: Store, turn: number): string[] {
  const log = store.turns.log(OWNER, turn);
  assert(log);
  assertEquals(log.setup, SETUP);
  return log.turns.map(({ tokens, boundaries }) => {
    const [id] = boundaries as [string];
    assertEquals(tokens, tokensOf(id));
    return id;
  });
}

/** The ids of a conversation's items; `null` if there is no such conversation. */
export function itemsOf(store: Store, conversation: string): string[] | null {
  return store.items.list(OWNER, conversation, ALL)?.data.map(({ id }) => id) ??
    null;
}

/** A cache of so many bytes, each `value`. */
export function cache(
  bytes: number,
  value = 1,
): { key: typeof KEY; bytes: Uint8Array<ArrayBuffer> } {
  return { key: KEY, bytes: new Uint8Array(bytes).fill(value) };
}

/** Numbers of the turns, of those given, that have a snapshot of their own. */
export async function snapshotsOf(
  store: Store,
  turns: readonly Position[],
): Promise<number[]> {
  const loaded = [];
  for (const { turn } of turns) {
    const found = await store.snapshots.load(OWNER, turn, KEY);
    if (found?.position.turn === turn) loaded.push(turn);
  }
  return loaded;
}
