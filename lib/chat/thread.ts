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
  /** How the tokens were computed; those that are left at the end have not been. */
  readonly runs: readonly Run[];
  /** A copy of the cache at this state or an earlier one. */
  readonly snapshot: Uint8Array<ArrayBuffer> | null;
}

/**
 * Where a thread's cache was found: in its slot, moved out of it, in a snapshot that the request
 * brought, or nowhere, so that the log was computed again.
 */
export type Resumed = "slot" | "memory" | "snapshot" | "replay";

/**
 * So many tokens at once, and how often: a prompt is computed in one run, an answer token by token. The
 * same tokens in other runs come to slightly other numbers, enough for another token where two are
 * nearly as likely.
 */
export type Run = readonly [size: number, times: number];

/** What a turn appends to a thread. */
export interface ThreadEnd {
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Positions in the thread at which the turn's messages begin. */
  readonly starts: readonly number[];
  readonly runs: readonly Run[];
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

/** A policy as a thread's setup has it. */
export interface SetupPolicy extends Pick<Policy, "name" | "evict" | "kvBits"> {
  readonly sinks: number;
  readonly window: number;
}

/** What the tokens of a thread depend on. */
export function setupOf(model: string, policy: Policy): Setup {
  const { name, rows: { sinks, window }, evict, kvBits } = policy;
  const kept: SetupPolicy = { name, sinks, window, evict, kvBits };
  return { model, policy: { ...kept } };
}

/** Which snapshots fit a thread. */
export function keyOf(
  { model, policy }: Setup,
  precision: string,
): SnapshotKey {
  return { model, policy: JSON.stringify(policy), precision };
}

/** Most tokens that are computed again in the runs that they were computed in, which takes its time. */
const MOST_EXACT = 4096;

/**
 * What of a log is still to be computed behind its first `seen` tokens: in the runs in which it was,
 * so that it comes to the same numbers, or all at once where that is too much.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { replayOf } from "./thread.ts";
 * const tokens = Uint32Array.of(1, 2, 3, 4, 5, 6);
 * const { parts, pending } = replayOf({ tokens, runs: [[3, 1], [1, 2]] }, 0);
 * assertEquals([parts, pending], [[[1, 2, 3], [4], [5]], [6]]);
 * ```
 */
export function replayOf(
  { tokens, runs }: Pick<ThreadLog, "tokens" | "runs">,
  seen: number,
): { parts: number[][]; pending: number[] } {
  const computed = runs.reduce((sum, [size, times]) => sum + size * times, 0);
  const pending = [...tokens.subarray(computed)];
  if (computed === seen) return { parts: [], pending };
  if (computed - seen > MOST_EXACT) {
    return { parts: [[...tokens.subarray(seen, computed)]], pending };
  }
  const parts: number[][] = [];
  let at = 0;
  for (const [size, times] of runs) {
    for (let i = 0; i < times; i++, at += size) {
      const part = tokens.subarray(Math.max(at, seen), at + size);
      if (at + size > seen) parts.push([...part]);
    }
  }
  return { parts, pending };
}
