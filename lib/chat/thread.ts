/**
 * Threads: conversations that somebody else has the token log of. The model goes on from what it
 * holds of one, without its text; if it holds nothing, it asks for the log.
 *
 * Each state of a thread, which is the end of one of its turns, has a name that is never given
 * twice. A branch begins at the same state as what it branches from.
 *
 * @module
 */
import type { Policy } from "../cache/policy.ts";
import type { Setup } from "../store/records.ts";
import type { SnapshotKey } from "../store/snapshots.ts";

/** A state of a thread. */
export interface ThreadName {
  readonly owner: string;
  readonly state: string;
}

/** A turn of a thread that is asked for. */
export interface ThreadRequest {
  /** Where it goes on from; `null` begins a thread. */
  readonly from: ThreadBase | null;
  /** Name of the state that it leads to. */
  readonly to: string;
}

/** A state of a thread to go on from. */
export interface ThreadBase {
  readonly state: string;
  /** What the thread was begun with. */
  readonly setup: Setup;
  /** What to compute the state from, for a model that does not hold it. */
  readonly log?: ThreadLog;
}

/** All of a thread up to a state. */
export interface ThreadLog {
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Positions of tokens that begin messages, ascending. */
  readonly starts: readonly number[];
  /** A copy of the cache at this state or an earlier one. */
  readonly snapshot: Uint8Array<ArrayBuffer> | null;
}

/**
 * Where a thread's cache was found: in its slot, moved out of it, in a snapshot that the request
 * brought, or nowhere, so that the log was computed again.
 */
export type Resumed = "slot" | "memory" | "snapshot" | "replay";

/** What a turn appends to a thread. */
export interface ThreadEnd {
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Positions in the thread at which the turn's messages begin. */
  readonly starts: readonly number[];
  readonly setup: Setup;
}

/** A thread's cache outside of the model. */
export interface ThreadCopy {
  readonly key: SnapshotKey;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The state that a request goes on from is not in memory. */
export class NotHeldError extends Error {
  override readonly name = "NotHeldError";

  /** @param key of snapshots that could be gone on from */
  constructor(readonly key: SnapshotKey) {
    super("The thread is not in memory: ask again with its log");
  }
}

/** What the tokens of a thread depend on. */
export function setupOf(model: string, policy: Policy): Setup {
  const { name, rows: { sinks, window }, evict } = policy;
  return { model, policy: { name, sinks, window, evict } };
}

/** Which snapshots fit a thread. */
export function keyOf(
  { model, policy }: Setup,
  precision: string,
): SnapshotKey {
  return { model, policy: JSON.stringify(policy), precision };
}
