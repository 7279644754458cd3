/** ONNX Runtime as WebAssembly, through onnxruntime-web. @module */
import type { DecoderGraph } from "../graph/convert.ts";
import type { Engine, EngineSession, SessionOptions } from "./engine.ts";
import { OrtSession } from "./ort_session.ts";

/** Runs on the CPU as WebAssembly, with f32 products (the fastest and most exact there). */
export const WASM: Engine = {
  name: "wasm",
  linear: { kind: "dense" },
  inPlace: false,
  products: "integers",
  chunk: 64,

  async open(
    graph: DecoderGraph,
    options: SessionOptions,
  ): Promise<EngineSession> {
    const ort = await import("onnxruntime-web");
    ort.env.wasm.numThreads = options.threads;
    const session = await ort.InferenceSession.create(
      await Deno.readFile(graph.graph),
      {
        executionProviders: ["wasm"],
        externalData: [{
          path: graph.weightsName,
          data: await Deno.readFile(graph.weights),
        }],
        logSeverityLevel: 3,
      },
    );
    return new OrtSession(ort, session);
  },
};
