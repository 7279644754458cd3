/**
 * A model's worker that loads a {@linkcode ToldModel}, or does what the configured model's name says.
 *
 * @module
 */
import { serveInWorker } from "../../lib/worker/worker_scope.ts";
import { CACHES, ToldModel } from "./told_model.ts";

serveInWorker(async ({ model, modelsDirectory }) => {
  if (model === "absent") throw new Error("There is no file at absent.gguf");
  if (model === "endless") await new Promise(() => {});
  if (model === "short-lived") {
    setTimeout(() => {
      throw new Error("short-lived");
    }, 10);
  }
  return {
    model: new ToldModel(),
    caches: CACHES,
    description: `Model ${model}`,
    release: () =>
      Deno.writeTextFile(`${modelsDirectory}/released`, ".", { append: true }),
  };
});
