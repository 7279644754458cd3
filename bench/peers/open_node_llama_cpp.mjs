/** node-llama-cpp from where install.ts has put it, with a model loaded: on the CPU, by its prebuilt binary. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The package, its version, and the model; `directory` has it in its node_modules. */
export async function openModel(directory, modelPath) {
  const home = resolve(directory, "node_modules", "node-llama-cpp");
  const { version } = JSON.parse(
    await readFile(join(home, "package.json"), "utf8"),
  );
  const { getLlama, LlamaChatSession } = await import(
    pathToFileURL(join(home, "dist", "index.js")).href
  );
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
  });
  const model = await llama.loadModel({ modelPath });
  return { version, model, LlamaChatSession };
}
