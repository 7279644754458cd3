/**
 * A stand-in for a worker, for hosts that have none.
 *
 * @module
 */
import type { Config } from "../config.ts";
import type { Command } from "./protocol.ts";
import { runWorker, type ServedModel } from "./run_worker.ts";
import type { WorkerLike } from "./worker_handle.ts";

/** Runs in this thread what a worker would. What nothing catches is not this one's to catch. */
export function inThisThread(
  load: (config: Config) => Promise<ServedModel>,
): WorkerLike {
  const { receive } = runWorker(load, (report) => {
    const data = structuredClone(report);
    queueMicrotask(() =>
      worker.onmessage?.(new MessageEvent("message", { data }))
    );
  });
  const worker: WorkerLike = {
    onmessage: null,
    onerror: null,
    onmessageerror: null,
    postMessage(command: Command): void {
      const copy = structuredClone(command);
      queueMicrotask(() => receive(copy));
    },
    terminate(): void {
      // The model was released, and nobody listens any more.
    },
  };
  return worker;
}
