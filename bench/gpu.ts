/**
 * Counts what a token costs a GPU: dispatches by shader, buffers made, bytes read back; for the graph
 * of plain operators that CPUs run, and for the one that GPUs run. Counts are the same on any adapter,
 * llvmpipe included; times are not taken.
 *
 * @module
 */
import { join } from "node:path";
import { slotLayout } from "../lib/cache/layout.ts";
import { SinkWindow } from "../lib/cache/sink_window.ts";
import { readConfig } from "../lib/config.ts";
import type { Decoder } from "../lib/decoder/decoder.ts";
import { HostDecoder } from "../lib/decoder/host_decoder.ts";
import {
  type ModelSource,
  openGpuDecoder,
  openHostModel,
} from "../lib/decoder/open_decoder.ts";
import type { Engine } from "../lib/engine/engine.ts";
import { Gpu } from "../lib/engine/gpu.ts";
import { OrtSession } from "../lib/engine/ort_session.ts";
import { locateModel, terminalProgress } from "../lib/models/mod.ts";
import { createSampler } from "../lib/sampling/mod.ts";
import { openGguf } from "../lib/weights/gguf.ts";
import { DispatchCounter } from "./dispatch_counter.ts";
import { section } from "../lib/program/table.ts";

const SINKS = 4;
const WINDOW = 60;
const SLOTS = 8;

/** What one token, or one of each stream, cost. */
interface Cost {
  readonly what: string;
  readonly dispatches: ReadonlyMap<string, number>;
  readonly buffers: number;
  readonly mapped: number;
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const config = readConfig();
  const located = await locateModel(config.model, {
    directory: config.modelsDirectory,
    onProgress: terminalProgress(),
  });
  using counter = new DispatchCounter();
  using file = await openGguf(located.path);
  const graphs = join(config.modelsDirectory, "graphs");
  const source = { file, sha256: located.sha256, graphs };
  const costs: Cost[] = [];

  {
    const gpu = await Gpu.open({ preference: config.gpu });
    const decoder = await openComposed(gpu, source);
    costs.push(...await measure("plain operators", decoder, gpu, counter));
    await decoder.release();
    gpu.release();
  }
  for (const rows of ["f32", "f16"] as const) {
    let gpu!: Gpu;
    const room = { sinks: SINKS, window: WINDOW, slots: SLOTS };
    const decoder = await openGpuDecoder(source, room, {
      gpu: config.gpu,
      gpuRows: rows,
      openGpu: async (options) => gpu = await Gpu.open(options),
    });
    costs.push(...await measure(`fused, ${rows} rows`, decoder, gpu, counter));
    await decoder.release();
  }
  print(costs, located.id);
}

/** The graph of plain operators on a GPU, its caches copied in at each run. */
async function openComposed(gpu: Gpu, source: ModelSource): Promise<Decoder> {
  const engine: Engine = {
    name: "wasm",
    linear: { kind: "blocks", accuracyLevel: 0 },
    inPlace: false,
    products: "decoded",
    chunk: 64,
    async open(graph) {
      const ort = await import("onnxruntime-web/webgpu");
      ort.env.wasm.numThreads = 1;
      const data = await Deno.readFile(graph.weights);
      const session = await ort.InferenceSession.create(
        await Deno.readFile(graph.graph),
        {
          executionProviders: [{ name: "webgpu", device: gpu.lent }],
          externalData: [{ path: graph.weightsName, data }],
          logSeverityLevel: 3,
        },
      );
      return new OrtSession(ort, session);
    },
  };
  const model = await openHostModel(engine, source, { blocks: 1, threads: 1 });
  const layout = slotLayout(SINKS, WINDOW, { blocks: 1 });
  return new HostDecoder(model, { layout, slots: SLOTS, chunk: engine.chunk });
}

/** One stream past capacity, then all streams, each after warming up. */
async function measure(
  what: string,
  decoder: Decoder,
  gpu: Gpu,
  counter: DispatchCounter,
): Promise<Cost[]> {
  const policy = new SinkWindow(SINKS, WINDOW);
  const sampler = createSampler({ temperature: 0 }, decoder.vocabulary);
  const costs: Cost[] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    decoder.open(slot, policy);
    for (let seen = 0; seen < policy.capacity + 2;) {
      const count = Math.min(
        decoder.limit(slot),
        policy.capacity + 2 - seen,
      );
      const tokens = Array.from({ length: count }, (_, i) => 100 + i);
      await decoder.run([{ slot, tokens, logits: 0 }]);
      seen += count;
    }
  }
  for (const streams of [1, SLOTS]) {
    const step = () =>
      decoder.sample(
        Array.from(
          { length: streams },
          (_, slot) => ({ slot, tokens: [100], sampler }),
        ),
      );
    for (let warm = 0; warm < 2; warm++) await step();
    counter.take();
    const before = gpu.created;
    await step();
    const { dispatches, mapped } = counter.take();
    const name = streams === 1 ? what : `${what}, ${streams} streams`;
    costs.push({
      what: name,
      dispatches,
      buffers: gpu.created - before,
      mapped,
    });
  }
  return costs;
}

function print(costs: readonly Cost[], id: string): void {
  const names = [
    ...new Set(costs.flatMap(({ dispatches }) => [...dispatches.keys()])),
  ];
  const sum = (counts: ReadonlyMap<string, number>) =>
    [...counts.values()].reduce((a, b) => a + b, 0);
  const row = (name: string, value: (cost: Cost) => number) => [
    name,
    ...costs.map((cost) => String(value(cost))),
  ];
  console.log(section(`A token of ${id} on a GPU, past capacity`, {
    columns: ["shader", ...costs.map(({ what }) => what)],
    rows: [
      ...names.map((name) =>
        row(name, ({ dispatches }) => dispatches.get(name) ?? 0)
      ),
      row("dispatches", ({ dispatches }) => sum(dispatches)),
      row("buffers made", ({ buffers }) => buffers),
      row("bytes read back", ({ mapped }) => mapped),
    ],
  }));
}
