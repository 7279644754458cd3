/** ONNX Runtime as a native library, through onnxruntime-node. @module */
import type { DecoderGraph } from "../graph/convert.ts";
import type { Engine, EngineSession } from "./engine.ts";
import { OrtSession } from "./ort_session.ts";

/** Runs on the CPU, with products of bytes. */
export const NATIVE: Engine = {
  name: "native",
  linear: { kind: "bytes" },
  integers: true,
  chunk: 64,

  async open(
    graph: DecoderGraph,
    options: { threads: number },
  ): Promise<EngineSession> {
    const ort = await import("onnxruntime-node");
    const session = await ort.InferenceSession.create(graph.graph, {
      executionProviders: ["cpu"],
      intraOpNumThreads: options.threads,
      logSeverityLevel: 3,
    });
    return new OrtSession(ort, session);
  },
};
