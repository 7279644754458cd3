/**
 * The default model for tests of what users see: fetched once into the models directory
 * (`EVERSTREAM_MODELS`, or the per-user one), as the server itself would.
 *
 * @module
 */
import { readConfig } from "../lib/config.ts";
import { locateModel, terminalProgress } from "../lib/models/mod.ts";

let path: Promise<string> | undefined;

/** Path of the default model's GGUF. */
export function realModelPath(): Promise<string> {
  path ??= locateModel("default", {
    directory: readConfig().modelsDirectory,
    onProgress: terminalProgress(),
  }).then((model) => model.path);
  return path;
}
