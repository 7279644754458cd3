/** One worker's life, with a worker that is not one. */
import { assertEquals } from "@std/assert";
import { readConfig } from "../../lib/config.ts";
import type { Report } from "../../lib/worker/protocol.ts";
import {
  WorkerHandle,
  type WorkerLike,
} from "../../lib/worker/worker_handle.ts";
import { CACHES } from "./told_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A handle of a worker that reports what the test makes it report. */
function handled(patience?: number) {
  const told: string[] = [];
  const worker: WorkerLike = {
    onmessage: null,
    onerror: null,
    onmessageerror: null,
    postMessage: ({ type }) => told.push(type),
    terminate: () => told.push("(terminated)"),
  };
  const handle = new WorkerHandle(worker, {
    config: readConfig(new Map([["HOME", "/"]])),
    gone: () => new Error("gone"),
    ...(patience === undefined ? {} : { patience }),
  });
  const report = (data: Report) =>
    worker.onmessage?.(new MessageEvent("message", { data }));
  return { handle, worker, report, told };
}

const READY = {
  type: "ready",
  id: "told",
  created: 0,
  caches: CACHES,
  description: "Model told",
} as const;
const CRASHED = {
  type: "crashed",
  error: { kind: "other", name: "Error", message: "crashed", stack: "" },
} as const;

Deno.test("a worker is stopped by being told so, and ended when it has stopped", async () => {
  const { handle, report, told } = handled();
  report(READY);
  assertEquals(await handle.ready, "Model told");
  assertEquals(handle.caches, CACHES);
  const stopped = handle.stop();
  assertEquals([handle.model, told], [null, ["load", "stop"]]);
  report({ type: "stopped" });
  await stopped;
  assertEquals(told, ["load", "stop", "(terminated)"]);
  assertEquals(await handle.ended, null);
});

Deno.test("a worker that does not stop in time is ended", async () => {
  const { handle, report, told } = handled(20);
  report(READY);
  await handle.stop();
  assertEquals(told, ["load", "stop", "(terminated)"]);
});

Deno.test("a crash while it is being stopped changes nothing", async () => {
  const { handle, report } = handled();
  report(READY);
  const stopped = handle.stop();
  report(CRASHED);
  report({ type: "stopped" });
  await stopped;
  assertEquals(await handle.ended, null);
});

Deno.test("a worker that crashed may give back its memory before it ends", async () => {
  const { handle, report, told } = handled();
  report(READY);
  report(CRASHED);
  const stopped = handle.stop();
  assertEquals([handle.model, told], [null, ["load"]]);
  report({ type: "stopped" });
  await stopped;
  assertEquals((await handle.ended)!.message, "crashed");
  assertEquals(told, ["load", "(terminated)"]);
});

Deno.test("a message that cannot be read is a crash", async () => {
  const { handle, worker, report, told } = handled();
  report(READY);
  worker.onmessageerror!(new MessageEvent("messageerror"));
  assertEquals(
    (await handle.ended)!.message.includes("could not be read"),
    true,
  );
  assertEquals([handle.model, told], [null, ["load", "(terminated)"]]);
});
