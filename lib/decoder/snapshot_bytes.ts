/**
 * A decoder's snapshot as bytes, for a place that outlasts the process. Whatever decoder made it: what
 * it is of is written as it is, but for policies, which are objects of a class, and bytes that are
 * still on their way.
 *
 * @module
 */
import { RecomputedWindow } from "../cache/recomputed_window.ts";
import { SinkWindow } from "../cache/sink_window.ts";
import { decodeTree, encodeTree, type Tree } from "../cache/tree_bytes.ts";
import type { Snapshot } from "./decoder.ts";

/** @throws what kept its bytes from arriving */
export async function snapshotToBytes(
  snapshot: Snapshot,
): Promise<Uint8Array<ArrayBuffer>> {
  return encodeTree(await toTree(snapshot));
}

/**
 * The snapshot again. Whether it fits a slot is for `Decoder.restore` to say.
 *
 * @throws {RangeError} if the bytes are none of {@linkcode snapshotToBytes}
 */
export function snapshotFromBytes(bytes: Uint8Array): Snapshot {
  const snapshot = fromTree(decodeTree(bytes));
  if (isSnapshot(snapshot)) return snapshot;
  throw new RangeError(
    "Cannot read a snapshot: the bytes are of something else",
  );
}

async function toTree(value: unknown): Promise<Tree> {
  if (value instanceof SinkWindow) {
    const { sinks, window } = value;
    const recomputed = value instanceof RecomputedWindow;
    return { policy: { sinks, window, recomputed } };
  }
  if (value instanceof Promise) return { arrived: await toTree(await value) };
  if (Array.isArray(value)) {
    // Token ids and positions by the thousand.
    if (value.every((item) => typeof item === "number")) return value;
    return await inOrder(value.map((item) => () => toTree(item)));
  }
  if (
    typeof value !== "object" || value === null || ArrayBuffer.isView(value) ||
    value instanceof ArrayBuffer
  ) return value as Tree;
  const entries = Object.entries(value);
  // One after the other: what a later one is can depend on an earlier one's arrival.
  const trees = await inOrder(
    entries.map(([name]) => () => toTree(Reflect.get(value, name))),
  );
  return Object.fromEntries(entries.map(([name], i) => [name, trees[i]!]));
}

async function inOrder<T>(steps: (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  for (const step of steps) results.push(await step());
  return results;
}

function fromTree(tree: Tree): unknown {
  if (Array.isArray(tree)) return tree.map(fromTree);
  if (
    typeof tree !== "object" || tree === null || ArrayBuffer.isView(tree) ||
    tree instanceof ArrayBuffer
  ) return tree;
  const of = tree as Record<string, Tree>;
  const [only, ...more] = Object.keys(of);
  if (more.length === 0 && only === "policy") {
    const { sinks, window, recomputed } = of.policy as Record<string, Tree>;
    return recomputed
      ? new RecomputedWindow(window as number)
      : new SinkWindow(sinks as number, window as number);
  }
  if (more.length === 0 && only === "arrived") {
    return Promise.resolve(fromTree(of.arrived!));
  }
  return Object.fromEntries(
    Object.entries(of).map(([name, value]) => [name, fromTree(value)]),
  );
}

function isSnapshot(value: unknown): value is Snapshot {
  const { policy, seen, bytes } = Object(value) as Partial<Snapshot>;
  return policy instanceof SinkWindow && Number.isSafeInteger(seen) &&
    typeof bytes === "number";
}
