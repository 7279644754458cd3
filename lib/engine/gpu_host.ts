/**
 * A GPU for graphs whose caches are in host memory: encoded rows and lazy layers. A run copies to the GPU
 * what it reads of them (of 4-bit rows an eighth of what f32 rows are), and new rows come back, so that a
 * lost device takes nothing with it: the next run opens another.
 *
 * @module
 */
import type { InferenceSession } from "onnxruntime-common";
import type { DecoderGraph } from "../graph/convert.ts";
import type { GpuPreference } from "./adapter.ts";
import type {
  Engine,
  EngineSession,
  EngineTensor,
  TensorData,
} from "./engine.ts";
import { Gpu, GpuLostError } from "./gpu.ts";
import { inTurn, openOnGpu } from "./gpu_session.ts";
import { hostTensor, type OrtModule, runOnHost } from "./ort_session.ts";

/** The engine, on whatever adapter is preferred. */
export function gpuWithHostCaches(preference: GpuPreference): Engine {
  return {
    name: "webgpu",
    linear: { kind: "dispatches" },
    inPlace: false,
    products: "decoded",
    chunk: 64,
    async open(graph: DecoderGraph): Promise<EngineSession> {
      const open = async () => {
        const gpu = await Gpu.open({ preference });
        return { gpu, ...await openOnGpu(gpu, graph) };
      };
      return new GpuHostSession(await open(), open);
    },
  };
}

/** A graph on a device. */
interface OpenGraph {
  readonly gpu: Gpu;
  readonly ort: OrtModule;
  readonly session: InferenceSession;
}

class GpuHostSession implements EngineSession {
  readonly #open: () => Promise<OpenGraph>;
  #graph: OpenGraph;

  constructor(graph: OpenGraph, open: () => Promise<OpenGraph>) {
    this.#graph = graph;
    this.#open = open;
  }

  tensor(data: TensorData, dims: readonly number[]): EngineTensor {
    return hostTensor(this.#graph.ort, data, dims);
  }

  async run(
    inputs: Readonly<Record<string, EngineTensor>>,
  ): Promise<Record<string, Float32Array>> {
    try {
      return await this.#run(inputs);
    } catch (error) {
      if (!(error instanceof GpuLostError)) throw error;
      await this.release().catch(() => {});
      this.#graph = await this.#open();
      return await this.#run(inputs);
    }
  }

  async release(): Promise<void> {
    const { gpu, session } = this.#graph;
    await inTurn(() => session.release());
    gpu.release();
  }

  async #run(
    inputs: Readonly<Record<string, EngineTensor>>,
  ): Promise<Record<string, Float32Array>> {
    const { gpu, session } = this.#graph;
    return await inTurn(() =>
      gpu.alive("run the model", () => runOnHost(session, inputs))
    );
  }
}
