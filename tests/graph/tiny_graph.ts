/**
 * Builds a graph in a temporary directory and runs it.
 *
 * @module
 */
import { join } from "node:path";
import type {
  EngineTensor,
  SessionOptions,
  TensorData,
} from "../../lib/engine/engine.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import {
  GraphBuilder,
  type WeightWriter,
} from "../../lib/graph/graph_builder.ts";

/** Collects weights in memory, each at a multiple of 64. */
export class MemoryWeights implements WeightWriter {
  readonly location = "weights.bin";
  readonly parts: Uint8Array[] = [];
  size = 0;

  append(bytes: Uint8Array): Promise<number> {
    const offset = Math.ceil(this.size / 64) * 64;
    this.parts.push(new Uint8Array(offset - this.size), bytes.slice());
    this.size = offset + bytes.length;
    return Promise.resolve(offset);
  }
}

/** Builds a graph, runs it on the native engine and gives its outputs. */
export async function runGraph(
  build: (graph: GraphBuilder) => Promise<void>,
  inputs: Readonly<Record<string, { data: TensorData; dims: number[] }>>,
  options: SessionOptions = { threads: 1 },
): Promise<Record<string, Float32Array>> {
  const weights = new MemoryWeights();
  const builder = new GraphBuilder("tiny", weights);
  await build(builder);
  const directory = await Deno.makeTempDir({ prefix: "everstream-graph-" });
  try {
    const graph = join(directory, "graph.onnx");
    const weightsPath = join(directory, weights.location);
    await Deno.writeFile(graph, builder.finish());
    await Deno.writeFile(
      weightsPath,
      new Uint8Array(await new Blob(weights.parts as BlobPart[]).arrayBuffer()),
    );
    const files = {
      graph,
      weights: weightsPath,
      weightsName: weights.location,
    };
    const session = await NATIVE.open(files, options);
    try {
      const feeds: Record<string, EngineTensor> = {};
      for (const [name, { data, dims }] of Object.entries(inputs)) {
        feeds[name] = session.tensor(data, dims);
      }
      return await session.run(feeds);
    } finally {
      await session.release();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
