/**
 * Everstream: configuration → model → HTTP. `deno task start` runs it on HOST and PORT;
 * `deno serve main.ts` and Deno Deploy run it on theirs.
 *
 * @module
 */
import { openKeys } from "./lib/access/open_keys.ts";
import { tellListening } from "./lib/access/tell_listening.ts";
import { createApp } from "./lib/app.ts";
import { readConfig } from "./lib/config.ts";
import { Drain } from "./lib/ending/drain.ts";
import { obeySignals, type Operation } from "./lib/ending/obey_signals.ts";
import { openTracing } from "./lib/observe/tracing.ts";
import { openStore } from "./lib/store/store.ts";
import { ModelHost } from "./lib/worker/model_host.ts";

/** What the environment asks for. */
export const config = readConfig();

const keys = openKeys(config.keys);
const store = await openStore(config.data, config);
const host = new ModelHost(config);
const drain = new Drain();

/** Resolves to whether the model was loaded; until then requests are answered with 503. */
export const loaded: Promise<boolean> = host.loaded;

/** What the operator's signals have an effect on. */
export const operation: Operation = {
  drain,
  patience: config.drain,
  close: () => host.close(),
  restart: () => host.restart(),
  reload: config.keys.file === null ? null : () => keys?.reload(),
};

const app = createApp({
  model: host.model,
  caches: host.caches,
  loadError: host.problem,
  keys: keys?.ring ?? null,
  rates: config.rates,
  origins: config.origins,
  log: (line) => config.log === "json" && console.log(JSON.stringify(line)),
  tracing: config.tracing ? await openTracing() : null,
  drain,
  store,
});

if (import.meta.main) obeySignals(operation);

export default {
  fetch: (request, info) => app.fetch(request, info),
  onListen: (address) => tellListening(config, address),
} satisfies Deno.ServeDefaultExport;
