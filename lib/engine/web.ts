/** ONNX Runtime as WebAssembly and on WebGPU, through onnxruntime-web. @module */
import type { InferenceSession } from "onnxruntime-common";
import type { DecoderGraph } from "../graph/convert.ts";
import type { Engine, EngineSession } from "./engine.ts";
import { type OrtModule, OrtSession } from "./ort_session.ts";

/** Runs on the CPU as WebAssembly, with f32 products (the fastest and most exact there). */
export const WASM: Engine = {
  name: "wasm",
  linear: { kind: "dense" },
  chunk: 64,

  async open(
    graph: DecoderGraph,
    options: { threads: number },
  ): Promise<EngineSession> {
    const ort = await import("onnxruntime-web");
    ort.env.wasm.numThreads = options.threads;
    return openWeb(ort, graph, { executionProviders: ["wasm"] });
  },
};

/** Runs on a GPU. */
export const WEBGPU: Engine = {
  name: "webgpu",
  linear: { kind: "blocks", accuracyLevel: 0 },
  chunk: 64,

  async open(graph: DecoderGraph): Promise<EngineSession> {
    const ort = await import("onnxruntime-web/webgpu");
    ort.env.wasm.numThreads = 1;
    return openWeb(ort, graph, { executionProviders: ["webgpu"] });
  },
};

async function openWeb(
  ort: OrtModule,
  graph: DecoderGraph,
  options: InferenceSession.SessionOptions,
): Promise<EngineSession> {
  const session = await ort.InferenceSession.create(
    await Deno.readFile(graph.graph),
    {
      ...options,
      externalData: [{
        path: graph.weightsName,
        data: await Deno.readFile(graph.weights),
      }],
      logSeverityLevel: 3,
    },
  );
  return new OrtSession(ort, session);
}
