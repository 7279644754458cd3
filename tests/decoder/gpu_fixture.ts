/**
 * A small model on a GPU, with a test's hands between the decoder and its device.
 *
 * @module
 */
import { GpuDecoder } from "../../lib/decoder/gpu_decoder.ts";
import { EmbeddingTable } from "../../lib/decoder/embedding_table.ts";
import type { GpuSize } from "../../lib/decoder/gpu/gpu_size.ts";
import { Gpu } from "../../lib/engine/gpu.ts";
import { GpuSession, type GpuTensor } from "../../lib/engine/gpu_session.ts";
import { FusedGroupedQueryAttention } from "../../lib/graph/attention/fused_grouped_query.ts";
import { openDecoderGraph, planDecoder } from "../../lib/graph/convert.ts";
import { openGguf } from "../../lib/weights/gguf.ts";

/** A run that is about to begin. */
export interface HookedRun {
  readonly gpu: Gpu;
  /** Buffer of an input. */
  input(name: string): GPUBuffer;
  /** Runs it. */
  go(): Promise<void>;
}

/** What a test does to a decoder; replaced at will. */
export interface Hooks {
  /** Called with each device that is opened, before anything is done with it. */
  opened(gpu: Gpu): void | Promise<void>;
  /** Called for each run. */
  run(run: HookedRun): Promise<void>;
}

/** A decoder under test. */
export interface GpuFixture extends AsyncDisposable {
  readonly decoder: GpuDecoder;
  /** Devices opened so far, the latest last. */
  readonly gpus: readonly Gpu[];
  /** The latest device. */
  readonly gpu: Gpu;
  readonly hooks: Hooks;
}

const SIZE: GpuSize = {
  slots: 1,
  sinks: 4,
  window: 13,
  chunk: 64,
  element: "f32",
};

/** Opens a decoder of a small model; `hooks` are there before the first device is. */
export async function openGpuFixture(
  model: { path: string; directory: string },
  changes: Partial<GpuSize> = {},
  given: Partial<Hooks> = {},
): Promise<GpuFixture> {
  const size = { ...SIZE, ...changes };
  using file = await openGguf(model.path);
  const type = size.element === "f16" ? "float16" : "float32";
  const plan = await planDecoder(
    file,
    (shape) => new FusedGroupedQueryAttention(shape, type),
  );
  const graph = await openDecoderGraph(
    { file, plan, sha256: "5".repeat(64) },
    { kind: "dispatches" },
    model.directory,
  );
  const embeddings = await EmbeddingTable.read(file, plan.family.embedding);
  const hooks: Hooks = { opened: () => {}, run: ({ go }) => go(), ...given };
  const gpus: Gpu[] = [];
  const decoder = await GpuDecoder.open(
    async () => {
      const gpu = await Gpu.open({ preference: "high-performance" });
      gpus.push(gpu);
      await hooks.opened(gpu);
      return gpu;
    },
    {
      plan,
      embeddings,
      async openSession(gpu) {
        const session = await GpuSession.open(gpu, graph);
        const buffers = new Map<GpuTensor, GPUBuffer>();
        return {
          tensor(buffer, type, dims) {
            const tensor = session.tensor(buffer, type, dims);
            buffers.set(tensor, buffer);
            return tensor;
          },
          scalar: (value) => session.scalar(value),
          shape: (values) => session.shape(values),
          release: () => session.release(),
          run: (inputs, outputs) =>
            hooks.run({
              gpu,
              input: (name) => buffers.get(inputs[name]!)!,
              go: () => session.run(inputs, outputs),
            }),
        };
      },
    },
    size,
  );
  return {
    decoder,
    gpus,
    hooks,
    get gpu() {
      return gpus.at(-1)!;
    },
    [Symbol.asyncDispose]: () => decoder.release(),
  };
}
