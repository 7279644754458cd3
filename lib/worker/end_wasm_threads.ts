/**
 * Ends the threads of ONNX Runtime's WebAssembly module, so that its memory, which can only grow,
 * is given back.
 *
 * ONNX Runtime never ends them: they wait for work in `memory.atomic.wait32`. Deno (2.9.6) does not
 * interrupt a thread that waits there when its worker is terminated, so each would stay, and hold
 * the memory, until the process ends (denoland/deno#35657 is about the same for a loop). A thread
 * does end by itself if its code traps. So all of them are given work that does: -2⁶³ / -1, which
 * WebAssembly's signed division refuses and ONNX Runtime does not check for.
 *
 * @module
 */
import { GraphBuilder } from "../graph/graph_builder.ts";

/** Divisions for each thread: some ten milliseconds, in which the others wake up. */
const SHARE = 1 << 22;

/** Milliseconds in which the threads end, by messages to this one, which has to be there for that. */
const GRACE = 1_000;

/**
 * Traps all threads of the module. Nothing can be run on it afterwards, and its loader writes "worker
 * sent an error!" to stderr for each thread.
 */
export async function endWasmThreads(threads: number): Promise<void> {
  const { InferenceSession, Tensor } = await import("onnxruntime-web");
  const session = await InferenceSession.create(division(), {
    executionProviders: ["wasm"],
  });
  const count = threads * SHARE;
  // This thread takes the first share. It must not trap before the others are at work, for their
  // orders lie on its stack.
  const least = new BigInt64Array(count).fill(-(2n ** 63n), SHARE);
  try {
    await session.run({
      dividend: new Tensor("int64", least, [count]),
      divisor: new Tensor("int64", new BigInt64Array([-1n]), [1]),
    });
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
  await new Promise((resolve) => setTimeout(resolve, GRACE));
}

/** `quotient = dividend / divisor`, as an ONNX model. */
function division(): Uint8Array {
  const graph = new GraphBuilder("division", {
    location: "",
    append: () => Promise.reject(new Error("The graph has no weights")),
  });
  const inputs = [
    graph.input("dividend", "int64", ["count"]),
    graph.input("divisor", "int64", [1]),
  ];
  graph.output(graph.node("Div", "quotient", inputs), "int64", ["count"]);
  return graph.finish();
}
