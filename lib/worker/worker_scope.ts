/**
 * Runs a model's thread in this Web Worker.
 *
 * @module
 */
import type { Config } from "../config.ts";
import { type Command, type Report, transferredBy } from "./protocol.ts";
import { runWorker, type ServedModel } from "./run_worker.ts";

/** What a worker's global object has and a window's has otherwise. */
interface WorkerScope extends EventTarget {
  onmessage: ((event: MessageEvent<Command>) => void) | null;
  postMessage(report: Report, transferred: ArrayBuffer[]): void;
}

/**
 * Takes commands from the thread that started this worker. What nothing catches here is a crash,
 * told to that thread, which ends the worker once the model was released.
 */
export function serveInWorker(
  load: (config: Config) => Promise<ServedModel>,
): void {
  const scope = self as unknown as WorkerScope;
  const { receive, crash } = runWorker(
    load,
    (report) => scope.postMessage(report, transferredBy(report)),
  );
  scope.onmessage = ({ data }) => receive(data);
  self.addEventListener("error", (event) => {
    event.preventDefault();
    crash(event.error);
  });
  self.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    crash(event.reason);
  });
}
