/**
 * Everstream: configuration → model → HTTP. `deno task start` runs it on HOST and PORT;
 * `deno serve main.ts` and Deno Deploy run it on theirs.
 *
 * @module
 */
import { createApp } from "./lib/app.ts";
import { readConfig } from "./lib/config.ts";
import {
  describeModel,
  type LoadedModel,
  loadModel,
} from "./lib/load_model.ts";

/** What the environment asks for. */
export const config = readConfig();

let model: LoadedModel | null = null;
let problem: string | null = null;

/** Resolves to whether the model was loaded; until then requests are answered with 503. */
export const loaded: Promise<boolean> = loadModel(config).then((result) => {
  model = result;
  console.log(describeModel(result));
  return true;
}, (error: Error) => {
  problem = error.message;
  console.error(`Cannot load the model.\n${problem}`);
  return false;
});

const app = createApp({
  model: () => model?.service ?? null,
  loadError: () => problem,
});

export default { fetch: app.fetch } satisfies Deno.ServeDefaultExport;
