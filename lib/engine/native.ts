/** ONNX Runtime as a native library, through onnxruntime-node. @module */
import type { DecoderGraph } from "../graph/convert.ts";
import type { Engine, EngineSession, SessionOptions } from "./engine.ts";
import { OrtSession } from "./ort_session.ts";

/**
 * Runs on the CPU, with products of bytes.
 *
 * Softmax gives hidden rows denormals, with which a CPU may be a hundred times slower. ONNX Runtime computes on the
 * calling thread, too, and what it tells a CPU of denormals holds for JavaScript on that thread from then on.
 */
export const NATIVE: Engine = {
  name: "native",
  linear: { kind: "bytes" },
  integers: true,
  chunk: 128,

  async open(
    graph: DecoderGraph,
    { threads, ownThread = false }: SessionOptions,
  ): Promise<EngineSession> {
    const ort = await import("onnxruntime-node");
    const session = await ort.InferenceSession.create(graph.graph, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      logSeverityLevel: 3,
      extra: { session: { set_denormal_as_zero: ownThread ? "1" : "0" } },
    });
    return new OrtSession(ort, session);
  },
};
