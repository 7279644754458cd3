/**
 * A worker that runs something on threads of ONNX Runtime's WebAssembly module, then ends those.
 *
 * @module
 */
import { env, InferenceSession, Tensor } from "onnxruntime-web";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { endWasmThreads } from "../../lib/worker/end_wasm_threads.ts";

const THREADS = 3;
const LENGTH = 1 << 20;

const scope = self as unknown as Worker;
self.addEventListener("unhandledrejection", (event) => event.preventDefault());
scope.onmessage = async () => {
  await endWasmThreads(THREADS);
  scope.postMessage("ended");
};

env.wasm.numThreads = THREADS;
const graph = new GraphBuilder("negative", {
  location: "",
  append: () => Promise.reject(new Error("The graph has no weights")),
});
graph.input("x", "float32", [LENGTH]);
graph.output(graph.node("Neg", "y", ["x"]), "float32", [LENGTH]);
const session = await InferenceSession.create(graph.finish(), {
  executionProviders: ["wasm"],
});
const x = new Tensor("float32", new Float32Array(LENGTH), [LENGTH]);
await session.run({ x });
scope.postMessage("running");
