/** ONNX Runtime as a native library, from onnxruntime-node. @module */
import type { Engine } from "./engine.ts";
import { collapseMemory } from "./native/huge_pages.ts";
import { runsMachineCode } from "./native/machine_code.ts";
import { NativeSession } from "./native/native_session.ts";

/**
 * Runs on the CPU, with products of bytes, and attends by our own kernel.
 *
 * Softmax gives hidden rows denormals, with which a CPU may be a hundred times slower. ONNX Runtime computes on the
 * calling thread, too, and what it tells a CPU of denormals holds for JavaScript on that thread from then on.
 */
export const NATIVE: Engine = {
  name: "native",
  linear: { kind: "bytes" },
  inPlace: true,
  get products() {
    return runsMachineCode() ? "attended" : "integers";
  },
  chunk: 128,
  open: ({ graph }, options) => NativeSession.open(graph, options),
  settle: collapseMemory,
  openDirect: (model, options) => NativeSession.open(model, options),
};
