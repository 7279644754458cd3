import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Gpu, GpuLostError } from "../../lib/engine/gpu.ts";
import { GpuSession } from "../../lib/engine/gpu_session.ts";
import {
  float,
  type GraphBuilder,
  MICROSOFT,
} from "../../lib/graph/graph_builder.ts";
import { absentReason, download } from "../gpu.ts";
import {
  addGraph,
  dataBuffer,
  WEIGHT_BYTES,
  WIDTH,
  withGraph,
  withSession,
} from "./add_graph.ts";

const ignore = absentReason !== null;

const ROWS = 3;
const DIMS = [ROWS, WIDTH];
const INPUT = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => i / 7);

/** Runs the graph on fresh buffers and checks what comes out. */
async function runAndCheck(gpu: Gpu, session: GpuSession): Promise<void> {
  const x = session.tensor(dataBuffer(gpu, INPUT), "float32", DIMS);
  const y = dataBuffer(gpu, new Float32Array(ROWS * WIDTH));
  await session.run({ x }, { y: session.tensor(y, "float32", DIMS) });
  await checkDoubled(gpu, y);
}

async function checkDoubled(gpu: Gpu, y: GPUBuffer): Promise<void> {
  const output = new Float32Array(await download(gpu.device, y));
  assertEquals(output, INPUT.map((value) => 2 * value));
}

Deno.test({
  name:
    "a graph on a GPU writes to the buffer it is given, and creates none after the first run",
  ignore,
  fn: () =>
    withGraph(addGraph, (graph) =>
      withSession(graph, async (gpu, session) => {
        const x = session.tensor(dataBuffer(gpu, INPUT), "float32", DIMS);
        const y = dataBuffer(gpu, new Float32Array(ROWS * WIDTH));
        const outputs = { y: session.tensor(y, "float32", DIMS) };
        await gpu.checked("run", () => session.run({ x }, outputs));
        const { created, bytes } = gpu;
        for (let i = 0; i < 20; i++) await session.run({ x }, outputs);
        assertEquals([gpu.created, gpu.bytes], [created, bytes]);
        await checkDoubled(gpu, y);
      })),
});

Deno.test({
  name:
    "bytes of a session are weights and scratch, and none once it is released",
  ignore,
  fn: () =>
    withGraph(addGraph, async (graph) => {
      const gpu = await Gpu.open({ preference: "high-performance" });
      try {
        const session = await GpuSession.open(gpu, graph);
        assertEquals(gpu.bytes, {
          weights: WEIGHT_BYTES,
          caches: 0,
          scratch: 0,
        });
        await runAndCheck(gpu, session);
        assert(gpu.bytes.scratch > 0);
        assertEquals(gpu.bytes.caches, 2 * INPUT.byteLength);
        await session.release();
        const { weights, scratch } = gpu.bytes;
        assertEquals([weights, scratch], [0, 0]);
      } finally {
        gpu.release();
      }
    }),
});

/** Attention of one head whose cache is written in place. */
function attentionGraph(graph: GraphBuilder): void {
  const row = [1, 1, "rows", WIDTH];
  graph.input("qkv", "float32", [1, 1, 3 * WIDTH]);
  for (const name of ["k", "v"]) graph.input(name, "float32", row);
  graph.input("last", "int32", [1]);
  graph.input("total", "int32", []);
  graph.nodes("GroupQueryAttention", ["o", "newK", "newV"], [
    "qkv",
    "",
    "",
    "k",
    "v",
    "last",
    "total",
  ], {
    domain: MICROSOFT,
    attributes: { num_heads: 1, kv_num_heads: 1, scale: float(1) },
  });
  graph.output("o", "float32", [1, 1, WIDTH]);
  for (const name of ["newK", "newV"]) graph.output(name, "float32", row);
}

Deno.test({
  name: "an output can be an input's buffer, and be written in place",
  ignore,
  fn: () =>
    withGraph(
      attentionGraph,
      (graph) =>
        withSession(graph, async (gpu, session) => {
          const capacity = 8;
          const old = new Float32Array(capacity * WIDTH).fill(3);
          // A query of 0 looks at all rows alike: at the old one and at its own.
          const token = new Float32Array(3 * WIDTH).fill(7, WIDTH).fill(
            5,
            2 * WIDTH,
          );
          const [k, v] = [dataBuffer(gpu, old), dataBuffer(gpu, old)];
          const o = dataBuffer(gpu, new Float32Array(WIDTH));
          const cache = (buffer: GPUBuffer) =>
            session.tensor(buffer, "float32", [1, 1, capacity, WIDTH]);
          const last = dataBuffer(gpu, Int32Array.of(1));
          await session.run({
            qkv: session.tensor(dataBuffer(gpu, token), "float32", [
              1,
              1,
              3 * WIDTH,
            ]),
            k: cache(k),
            v: cache(v),
            last: session.tensor(last, "int32", [1]),
            total: session.scalar(2),
          }, {
            o: session.tensor(o, "float32", [1, 1, WIDTH]),
            newK: cache(k),
            newV: cache(v),
          });
          const read = async (buffer: GPUBuffer) =>
            new Float32Array(await download(gpu.device, buffer));
          assertEquals(await read(o), new Float32Array(WIDTH).fill(4));
          assertEquals(await read(k), old.slice().fill(7, WIDTH, 2 * WIDTH));
          assertEquals(await read(v), old.slice().fill(5, WIDTH, 2 * WIDTH));
        }),
    ),
});

Deno.test({
  name: "a run has to be given each output by its name, and no other",
  ignore,
  fn: () =>
    withGraph(addGraph, (graph) =>
      withSession(graph, async (gpu, session) => {
        const x = session.tensor(dataBuffer(gpu, INPUT), "float32", DIMS);
        for (const outputs of [{}, { z: x }, { y: x, z: x }]) {
          await assertRejects(
            () => session.run({ x }, outputs),
            TypeError,
            "its outputs are y",
          );
        }
        await assertRejects(() => session.run({}, { y: x }), Error, "'x'");
      })),
});

Deno.test({
  name: "a run that fails is an error, and the next one works",
  ignore,
  fn: () =>
    withGraph(addGraph, (graph) =>
      withSession(graph, async (gpu, session) => {
        const x = dataBuffer(gpu, INPUT);
        assertThrows(
          () => session.tensor(x, "float32", [ROWS + 1, WIDTH]),
          RangeError,
          `Cannot bind [${ROWS + 1},${WIDTH}] of float32`,
        );
        const unwritable = gpu.buffer("scratch", {
          size: INPUT.byteLength,
          usage: GPUBufferUsage.COPY_DST,
        });
        const input = { x: session.tensor(x, "float32", DIMS) };
        const y = session.tensor(unwritable, "float32", DIMS);
        await assertRejects(
          () => gpu.checked("decode", () => session.run(input, { y })),
          Error,
        );
        assertEquals(gpu.isLost, false);
        await runAndCheck(gpu, session);
      })),
});

Deno.test({
  name:
    "a device that is lost fails runs, and all works on a new one, time and again",
  ignore,
  fn: () =>
    withGraph(addGraph, async (graph) => {
      for (let time = 0; time < 3; time++) {
        await withSession(graph, async (gpu, session) => {
          await runAndCheck(gpu, session);
          const x = session.tensor(dataBuffer(gpu, INPUT), "float32", DIMS);
          const y = session.tensor(dataBuffer(gpu, INPUT), "float32", DIMS);
          const pending = session.run({ x }, { y });
          gpu.device.destroy();
          await assertRejects(() => pending, GpuLostError);
          await assertRejects(() => session.run({ x }, { y }), GpuLostError);
        });
      }
    }),
});

Deno.test({
  name:
    "a session on a device that is lost is an error, and another device works",
  ignore,
  fn: () =>
    withGraph(addGraph, async (graph) => {
      const gpu = await Gpu.open({ preference: "high-performance" });
      const create = gpu.device.createBuffer;
      gpu.device.createBuffer = (descriptor) => {
        if (descriptor.size === WEIGHT_BYTES) gpu.device.destroy();
        return create(descriptor);
      };
      const opening = GpuSession.open(gpu, graph);
      await assertRejects(() => opening, GpuLostError);
      await assertRejects(() => GpuSession.open(gpu, graph), GpuLostError);
      gpu.release();
      await withSession(graph, runAndCheck);
    }),
});

Deno.test({
  name: "two devices do not get in each other's way",
  ignore,
  fn: () =>
    withGraph(
      addGraph,
      (graph) =>
        withSession(graph, (first, one) =>
          withSession(graph, async (second, other) => {
            await Promise.all([
              runAndCheck(first, one),
              runAndCheck(second, other),
            ]);
            second.device.destroy();
            await runAndCheck(first, one);
          })),
    ),
});

Deno.test({
  name: "a session that is released while it runs ends the run first",
  ignore,
  fn: () =>
    withGraph(addGraph, async (graph) => {
      const gpu = await Gpu.open({ preference: "high-performance" });
      const session = await GpuSession.open(gpu, graph);
      await Promise.all([runAndCheck(gpu, session), session.release()]);
      gpu.release();
    }),
});
