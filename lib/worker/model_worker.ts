/**
 * The Web Worker in which the model runs: ONNX Runtime keeps its thread busy for a whole step, and
 * HTTP needs the main one.
 *
 * @module
 */
import { describeModel, loadModel } from "../load_model.ts";
import { endWasmThreads } from "./end_wasm_threads.ts";
import { serveInWorker } from "./worker_scope.ts";

// onnxruntime-web's WebGPU build resolves URLs against the origin, which is "null" in a worker from
// a file; without `location`, as on the main thread, it does not.
Object.defineProperty(self, "location", { value: undefined });

serveInWorker(async (config) => {
  const loaded = await loadModel(config, { ownThread: true });
  const { service, caches, chosen } = loaded;
  return {
    model: service,
    caches,
    description: describeModel(loaded),
    release: async () => {
      service.close();
      await loaded.release();
      if (chosen.engine === "wasm" && config.threads > 1) {
        await endWasmThreads(config.threads);
      }
    },
  };
});
