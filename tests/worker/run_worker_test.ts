import { assertEquals } from "@std/assert";
import { readConfig } from "../../lib/config.ts";
import type { Report } from "../../lib/worker/protocol.ts";
import { runWorker } from "../../lib/worker/run_worker.ts";
import { CACHES, tell, ToldModel } from "./told_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const CONFIG = readConfig(new Map([["HOME", "/"]]));

/** A worker of a told model: what it reported, and what was running when it was released. */
async function ran() {
  const reports: Report["type"][] = [];
  const released: number[] = [];
  const stopped = Promise.withResolvers<void>();
  const model = new ToldModel();
  const { receive, crash } = runWorker(() =>
    Promise.resolve({
      model,
      caches: CACHES,
      description: "Model told",
      release: async () => void released.push((await model.state()).running),
    }), ({ type }) => {
    reports.push(type);
    if (type === "stopped") stopped.resolve();
  });
  receive({ type: "load", config: CONFIG });
  await Promise.resolve();
  receive({ type: "generate", id: 0, request: tell("linger 20") });
  await new Promise((resolve) => setTimeout(resolve));
  return { receive, crash, reports, released, stopped: stopped.promise };
}

Deno.test("the model is released once all that ran has ended", async () => {
  const { receive, released, stopped } = await ran();
  receive({ type: "stop" });
  await stopped;
  assertEquals(released, [0]);
});

Deno.test("a crash is reported once, and ends the worker once", async () => {
  const { receive, crash, reports, released, stopped } = await ran();
  crash(new Error("first"));
  crash(new Error("second"));
  receive({ type: "stop" });
  await stopped;
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(
    reports.filter((type) => type !== "answers"),
    ["ready", "crashed", "stopped"],
  );
  assertEquals(released, [0]);
});
