/** A small graph for a GPU, on disk. @module */
import { join } from "node:path";
import { Gpu } from "../../lib/engine/gpu.ts";
import { GpuSession } from "../../lib/engine/gpu_session.ts";
import type { DecoderGraph } from "../../lib/graph/convert.ts";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { MemoryWeights } from "../graph/tiny_graph.ts";

/** Values of a row. */
export const WIDTH = 64;

/** Bytes of the graph's weights. */
export const WEIGHT_BYTES = WIDTH * WIDTH * 4;

/** `y = x W + x` with W = identity: `y = 2 x`, all of shape `[rows, WIDTH]`. */
export async function addGraph(graph: GraphBuilder): Promise<void> {
  const weights = new Float32Array(WIDTH * WIDTH);
  for (let i = 0; i < WIDTH; i++) weights[i * WIDTH + i] = 1;
  const w = await graph.weight("w", weights, [WIDTH, WIDTH]);
  const x = graph.input("x", "float32", ["rows", WIDTH]);
  const product = graph.node("MatMul", "product", [x, w]);
  graph.output(graph.node("Add", "y", [product, x]), "float32", [
    "rows",
    WIDTH,
  ]);
}

/** Writes a graph to a temporary directory, and runs a test with it there. */
export async function withGraph(
  build: (graph: GraphBuilder) => Promise<void> | void,
  test: (graph: DecoderGraph) => Promise<void>,
): Promise<void> {
  const weights = new MemoryWeights();
  const builder = new GraphBuilder("small", weights);
  await build(builder);
  const directory = await Deno.makeTempDir({ prefix: "everstream-gpu-" });
  try {
    const graph = join(directory, "graph.onnx");
    const weightsPath = join(directory, weights.location);
    await Deno.writeFile(graph, builder.finish());
    const bytes = await new Blob(weights.parts as BlobPart[]).bytes();
    await Deno.writeFile(weightsPath, bytes);
    await test({
      graph,
      weights: weightsPath,
      weightsName: weights.location,
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A graph on a GPU of its own, both freed after the test. */
export async function withSession(
  graph: DecoderGraph,
  test: (gpu: Gpu, session: GpuSession) => Promise<void>,
): Promise<void> {
  const gpu = await Gpu.open({ preference: "high-performance" });
  try {
    const session = await GpuSession.open(gpu, graph);
    try {
      await test(gpu, session);
    } finally {
      await session.release();
    }
  } finally {
    gpu.release();
  }
}

/** A buffer that a graph can read and write, with these contents. */
export function dataBuffer(
  gpu: Gpu,
  data: ArrayBufferView<ArrayBuffer>,
): GPUBuffer {
  const buffer = gpu.buffer("caches", {
    size: data.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC |
      GPUBufferUsage.COPY_DST,
  });
  gpu.device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}
