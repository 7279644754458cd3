/** Bringing a thread's cache back into a slot, from what is kept of the thread elsewhere. @module */
import type { Policy } from "../cache/policy.ts";
import type { Decoder } from "../decoder/decoder.ts";
import { snapshotFromBytes } from "../decoder/snapshot_bytes.ts";
import { replayOf, type Resumed, type ThreadLog } from "./thread.ts";

/** How far a thread is back, and what it lacks. */
export interface Restored {
  readonly resumed: Resumed;
  /** All of the thread. */
  readonly base: {
    readonly tokens: number;
    readonly starts: readonly number[];
  };
  /** What must be computed again first, run by run. */
  readonly replay: readonly (readonly number[])[];
  /** Tokens behind that, which had not been computed. */
  readonly pending: readonly number[];
}

/** Puts as much of a thread into a slot as its snapshot holds; without one that fits, nothing. */
export async function restoreThread(
  decoder: Decoder,
  log: ThreadLog,
  { slot, policy }: { slot: number; policy: Policy },
): Promise<Restored> {
  const restored = await pasted(decoder, log, { slot, policy });
  if (!restored) decoder.open(slot, policy.rows);
  const { parts, pending } = replayOf(log, decoder.seen(slot));
  const { tokens: { length: tokens }, starts } = log;
  return {
    resumed: restored ? "snapshot" : "replay",
    base: { tokens, starts },
    replay: parts,
    pending,
  };
}

/** Whether the snapshot was what it has to be: one of the beginning of these tokens. */
async function pasted(
  decoder: Decoder,
  { tokens, snapshot: bytes }: ThreadLog,
  { slot, policy: { rows } }: { slot: number; policy: Policy },
): Promise<boolean> {
  if (!bytes) return false;
  try {
    const snapshot = snapshotFromBytes(bytes);
    const { policy: { sinks, window }, seen } = snapshot;
    if (
      sinks !== rows.sinks || window !== rows.window || seen > tokens.length
    ) return false;
    await decoder.restore(slot, snapshot);
    return true;
  } catch {
    return false; // of another version or layout: the log is computed again
  }
}
