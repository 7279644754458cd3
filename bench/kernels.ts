/**
 * Times the kernels at the shapes of the default model (SmolLM2-135M: 30 layers, 3 KV heads of 64, a
 * vocabulary of 49,152) with 8 slots of 1,036 rows. Run it by
 * `deno run --allow-read --allow-env bench/kernels.ts` in the repository.
 *
 * On llvmpipe, which runs WebGPU on the CPU, this shows that all works, and its counts of dispatches
 * and bytes; its times say nothing of a GPU.
 *
 * @module
 */
import type { Element } from "../kernels/element.ts";
import { PackRows } from "../kernels/pack_rows.ts";
import {
  packedBytes,
  packedGroups,
  type PackedRows,
  type PackedShape,
} from "../kernels/packed_rows.ts";
import { Pipelines } from "../kernels/pipelines.ts";
import { type LayerCache, RingWrite } from "../kernels/ring_write.ts";
import { SampleKernel } from "../kernels/sample.ts";
import { SlotCopy } from "../kernels/slot_copy.ts";
import { UnpackRows } from "../kernels/unpack_rows.ts";
import { DispatchCounter } from "./dispatch_counter.ts";
import { median } from "./statistics.ts";
import { section } from "../lib/program/table.ts";

const LAYERS = 30;
const SLOTS = 8;
const ROWS = 1036;
const HEADS = 3;
const WIDTH = 64;
const VOCABULARY = 49_152;
const ROUNDS = 7;
const TENSORS = 2 * LAYERS;

/** One kernel at work. */
interface Work {
  readonly name: string;
  /** What it reads and writes of the GPU's memory. */
  readonly bytes: number;
  run(): unknown;
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) {
    console.error("No WebGPU adapter was found");
    Deno.exit(1);
  }
  using counter = new DispatchCounter();
  for (const element of ["f32", "f16"] as const) {
    const device = await adapterDevice();
    const rows: string[][] = [];
    for (const work of await works(device, element)) {
      rows.push(await timed(work, { device, counter }));
    }
    device.destroy();
    const columns = ["kernel", "ms", "MB", "GB/s", "dispatches", "made"];
    const { description, vendor } = adapter.info;
    const where = `${description || vendor}, median of ${ROUNDS}`;
    console.log(section(`Rows in ${element} (${where})`, { columns, rows }));
    console.log();
  }
}

/** A new adapter's device, for an adapter gives one. */
async function adapterDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  return await adapter!.requestDevice();
}

async function timed(
  { name, bytes, run }: Work,
  { device, counter }: { device: GPUDevice; counter: DispatchCounter },
): Promise<string[]> {
  await run();
  await device.queue.onSubmittedWorkDone();
  counter.take();
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await run();
    await device.queue.onSubmittedWorkDone();
    times.push(performance.now() - start);
  }
  const ms = median(times);
  const { dispatches, made } = counter.take();
  const dispatched = [...dispatches.values()].reduce((a, b) => a + b, 0);
  return [
    name,
    ms.toFixed(2),
    (bytes / 1e6).toFixed(2),
    (bytes / 1e6 / ms).toFixed(1),
    (dispatched / ROUNDS).toFixed(0),
    (made / ROUNDS).toFixed(0),
  ];
}

async function works(device: GPUDevice, element: Element): Promise<Work[]> {
  const pipelines = new Pipelines(device);
  const size = element === "f16" ? 2 : 4;
  const layers = Array.from({ length: LAYERS }, () => ({
    keys: storage(device, SLOTS * HEADS * ROWS * WIDTH * size),
    values: storage(device, SLOTS * HEADS * ROWS * WIDTH * size),
  }));
  return [
    ...await ringWorks(pipelines, layers, element),
    await copyWork(pipelines, layers, element),
    ...await packWorks(pipelines, layers, element),
    ...(element === "f32" ? await sampleWorks(pipelines) : []),
  ];
}

async function ringWorks(
  pipelines: Pipelines,
  layers: readonly LayerCache[],
  element: Element,
): Promise<Work[]> {
  const shape = { slots: SLOTS, heads: HEADS, rows: ROWS, width: WIDTH };
  const write = await RingWrite.create(pipelines, {
    ...shape,
    layers,
    rotated: WIDTH,
    element,
    most: 64,
    angles: 64,
  });
  const angles = new Float32Array(64 * WIDTH / 2);
  const row = 2 * TENSORS * HEADS * WIDTH * (element === "f16" ? 2 : 4);
  const work = (name: string, slots: number, each: number): Work => {
    const moves = Array.from({ length: slots * each }, (_, i) => ({
      slot: i % slots,
      from: ROWS - 1 - Math.floor(i / slots),
      to: Math.floor(i / slots),
      angle: Math.floor(i / slots),
    }));
    return {
      name,
      bytes: moves.length * row,
      run: () => write.run(moves, { cos: angles, sin: angles }),
    };
  };
  return [
    work("ring_write, 1 row", 1, 1),
    work("ring_write, 8 slots of 1 row", 8, 1),
    work("ring_write, 8 slots of 1 row and 4 sinks", 8, 5),
    work("ring_write, 64 rows", 1, 64),
  ];
}

async function copyWork(
  pipelines: Pipelines,
  layers: readonly LayerCache[],
  element: Element,
): Promise<Work> {
  const shape = { heads: HEADS, width: WIDTH, element };
  const copy = await SlotCopy.create(pipelines, shape);
  const copies = layers.flatMap(({ keys, values }) =>
    [keys, values].map((buffer) => ({
      from: { buffer, rows: ROWS, slot: 0 },
      to: { buffer, rows: ROWS, slot: 1 },
      rows: 1024,
    }))
  );
  const bytes = 2 * TENSORS * HEADS * 1024 * WIDTH *
    (element === "f16" ? 2 : 4);
  return {
    name: "slot_copy, 60 tensors of 1,024 rows",
    bytes,
    run: () => copy.run(copies),
  };
}

async function packWorks(
  pipelines: Pipelines,
  layers: readonly LayerCache[],
  element: Element,
): Promise<Work[]> {
  const shape = { heads: HEADS, width: WIDTH, element, bits: 4 } as const;
  const works: Work[] = [];
  for (const groupedBy of ["token", "channel"] as const) {
    const packed: PackedShape = { ...shape, groupedBy };
    const rows = 1024;
    const groups = packedGroups(packed, rows);
    const whole: PackedRows = {
      codes: storage(pipelines.device, LAYERS * groups * 16),
      scales: storage(pipelines.device, LAYERS * groups * 8),
    };
    const pack = await PackRows.create(pipelines, packed);
    const unpack = await UnpackRows.create(pipelines, packed);
    const blocks = layers.map(({ keys }, i) => ({
      block: { buffer: keys, rows: ROWS },
      packed: { ...whole, firstGroup: i * groups },
    }));
    const bytes = LAYERS *
      (packedBytes(packed, rows) +
        HEADS * rows * WIDTH * (element === "f16" ? 2 : 4));
    const what = `30 tensors, 4 bits by ${groupedBy}`;
    const packings = blocks.map(({ block, packed }) => ({
      from: block,
      to: packed,
      rows,
    }));
    const unpackings = blocks.map(({ block, packed }) => ({
      from: packed,
      to: block,
      rows,
    }));
    works.push(
      { name: `pack_rows, ${what}`, bytes, run: () => pack.run(packings) },
      {
        name: `unpack_rows, ${what}`,
        bytes,
        run: () => unpack.run(unpackings),
      },
    );
  }
  return works;
}

async function sampleWorks(pipelines: Pipelines): Promise<Work[]> {
  const { device } = pipelines;
  const logits = storage(device, SLOTS * VOCABULARY * 4);
  const values = Float32Array.from(
    { length: SLOTS * VOCABULARY },
    (_, i) => Math.sin(i * i) * 8,
  );
  device.queue.writeBuffer(logits, 0, values);
  const sample = await SampleKernel.create(pipelines, {
    logits,
    rows: SLOTS,
    vocabulary: VOCABULARY,
    changes: 1024,
  });
  const changes = Array.from(
    { length: 128 },
    (_, i) => ({ token: 300 * i, divisor: 1.1, added: -0.5 }),
  );
  const request = { temperature: 0.7, fraction: 0.4, changes };
  return [1, SLOTS].map((count) => ({
    name: `sample, ${count} of 49,152 (${sample.readback} bytes back each)`,
    // Read by 4 passes for the threshold and 6 others, written once.
    bytes: count * VOCABULARY * 4 * 11,
    run: () =>
      sample.run(
        Array.from({ length: count }, (_, row) => ({ row, request })),
      ),
  }));
}

function storage(device: GPUDevice, size: number): GPUBuffer {
  const { COPY_DST, STORAGE } = GPUBufferUsage;
  return device.createBuffer({ size, usage: STORAGE | COPY_DST });
}
