/**
 * Everstream: configuration → model → HTTP. `deno task start` runs it on HOST and PORT;
 * `deno serve main.ts` and Deno Deploy run it on theirs.
 *
 * @module
 */
import { createApp } from "./lib/app.ts";
import { readConfig } from "./lib/config.ts";
import { openStore } from "./lib/store/store.ts";
import { ModelHost } from "./lib/worker/model_host.ts";

/** What the environment asks for. */
export const config = readConfig();

const store = await openStore(config.data, config);
const host = new ModelHost(config);

/** Resolves to whether the model was loaded; until then requests are answered with 503. */
export const loaded: Promise<boolean> = host.loaded;

/** Starts the model's worker anew; resolves to whether the model was loaded. */
export const restart = (): Promise<boolean> => host.restart();

const app = createApp({
  model: host.model,
  caches: host.caches,
  loadError: host.problem,
  store,
});

// `deno serve` stops listening on these signals and then waits for all that runs, the worker too.
if (import.meta.main && Deno.build.os !== "windows") {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => host.close());
  }
}

export default {
  fetch: (request, info) => app.fetch(request, info),
} satisfies Deno.ServeDefaultExport;
