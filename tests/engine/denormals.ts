/** Says what numbers below 2⁻¹⁰²² are to JavaScript after a session; its argument is `own` for a thread of its own. @module */
import { runGraph } from "../graph/tiny_graph.ts";

const build = (graph: Parameters<Parameters<typeof runGraph>[0]>[0]) => {
  const x = graph.input("x", "float32", [1]);
  graph.output(graph.node("Neg", "y", [x]), "float32", [1]);
  return Promise.resolve();
};
const x = { data: Float32Array.of(1), dims: [1] };
const ownThread = Deno.args[0] === "own";
await runGraph(build, { x }, { threads: 1, ownThread });
const denormal = Number.MIN_VALUE * 4;
console.log(denormal * 0.5 > 0 ? "kept" : "taken for 0");
