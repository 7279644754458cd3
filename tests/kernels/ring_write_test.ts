import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Angles,
  RingWrite,
  type RingWriteOptions,
  type RowMove,
} from "../../kernels/ring_write.ts";
import { createRandom, type Random } from "../../lib/sampling/random.ts";
import { download, type Gpu, gpuTest, upload } from "../gpu.ts";
import { type HostCache, moveRows } from "./reference.ts";
import {
  assertNear,
  assertSame,
  ELEMENTS,
  randomBits,
  randomRows,
  type Rows,
  rowsOf,
} from "./rows.ts";

type Shape = Omit<RingWriteOptions, "layers"> & { layers: number };

const SHAPES: readonly Omit<Shape, "element">[] = [
  { layers: 1, slots: 1, heads: 1, rows: 2, width: 4, rotated: 4 },
  { layers: 2, slots: 3, heads: 5, rows: 7, width: 12, rotated: 8 },
  { layers: 4, slots: 2, heads: 3, rows: 40, width: 64, rotated: 64 },
  { layers: 3, slots: 2, heads: 2, rows: 9, width: 6, rotated: 0 },
  // More invocations than one workgroup, or one row of 600 words.
  { layers: 7, slots: 9, heads: 1, rows: 33, width: 1200, rotated: 100 },
].map((shape) => ({ ...shape, most: 200, angles: 16 }));

for (const element of ELEMENTS) {
  for (const shape of SHAPES) {
    const { layers, slots, heads, rows, width, rotated } = shape;
    const words =
      `${layers} layers of [${slots}, ${heads}, ${rows}, ${width}], ${rotated} rotated`;
    gpuTest(
      `ring_write moves and rotates rows of ${element} as its twin does: ${words}`,
      (gpu) => compareWithTwin(gpu, { ...shape, element }),
    );
  }
}

for (const element of ELEMENTS) {
  gpuTest(
    `ring_write copies rows of ${element} bit for bit, whatever they are, where there is no angle`,
    async ({ device, pipelines }) => {
      const shape = { ...SHAPES[1]!, element };
      const random = createRandom(11);
      const size = sizeOf(shape);
      const keys = upload(device, randomBits(element, size, random));
      const values = upload(device, randomBits(element, size, random));
      const moves = randomMoves(shape, random).map((move) => ({
        ...move,
        angle: -1,
      }));
      const expected = await Promise.all([keys, values].map(async (buffer) => {
        const bytes = await download(device, buffer);
        const bits = element === "f16"
          ? new Uint16Array(bytes)
          : new Uint32Array(bytes);
        const twin = { keys: bits, values: bits.slice() };
        moveRows(twin, moves, { ...shape, angles: angles(0, 0, random) });
        return new Uint8Array(bytes);
      }));
      const layers = [{ keys, values }];
      const write = await RingWrite.create(pipelines, { ...shape, layers });
      write.run(moves, angles(0, 0, random));
      for (const [i, buffer] of [keys, values].entries()) {
        const actual = new Uint8Array(await download(device, buffer));
        assertSame(actual, expected[i]!);
      }
    },
  );
}

gpuTest("ring_write makes nothing on the device after its creation", async ({
  device,
  pipelines,
}) => {
  const shape: Shape = { ...SHAPES[2]!, element: "f32" };
  const { write } = await open({ device, pipelines }, shape);
  const made: string[] = [];
  for (const name of ["createBuffer", "createBindGroup"] as const) {
    const own = device[name].bind(device) as (of: never) => never;
    device[name] = (of: never) => {
      made.push(name);
      return own(of);
    };
  }
  const bytes = write.bytes;
  for (const seed of [1, 2, 3]) {
    const random = createRandom(seed);
    write.run(randomMoves(shape, random), angles(16, 32, random));
  }
  assertEquals(made, []);
  assertEquals(write.bytes, bytes);
  assertEquals(pipelines.size, 2); // of 3 layers and of the one left over
  write.destroy();
  assertEquals(write.bytes, 0);
});

gpuTest("ring_write refuses what is out of range and changes nothing", async ({
  device,
  pipelines,
}) => {
  const shape: Shape = { ...SHAPES[1]!, element: "f32" };
  const { write, buffers } = await open({ device, pipelines }, shape);
  const before = new Uint8Array(await download(device, buffers[0]!.keys));
  const good: RowMove = { slot: 0, from: 0, to: 1, angle: 0 };
  const turn = angles(1, 4, createRandom(1));
  for (
    const [moves, by, message] of [
      [[{ ...good, slot: 3 }], turn, "slot"],
      [[{ ...good, from: -1 }], turn, "from"],
      [[{ ...good, to: 7 }], turn, "to"],
      [[{ ...good, to: 0.5 }], turn, "to"],
      [[{ ...good, angle: 1 }], turn, "angle"],
      [[{ ...good, angle: -2 }], turn, "angle"],
      [Array<RowMove>(200).fill(good), turn, "201 rows"],
      [[good], { ...turn, sin: turn.sin.subarray(1) }, "3 sines"],
      [[good], angles(17, 4, createRandom(1)), "68 cosines"],
    ] as const
  ) {
    assertThrows(() => write.run([good, ...moves], by), RangeError, message);
  }
  write.run([], turn);
  const after = new Uint8Array(await download(device, buffers[0]!.keys));
  assertEquals(after, before);
});

gpuTest("ring_write refuses shapes that it cannot move", async (gpu) => {
  const shape: Shape = { ...SHAPES[1]!, element: "f16" };
  for (
    const [wrong, message] of [
      [{ width: 13 }, "width"],
      [{ rotated: 6 }, "half of rotated"],
      [{ rotated: 16 }, "16 elements of 12"],
    ] as const
  ) {
    await assertRejects(
      () => open(gpu, { ...shape, ...wrong }),
      RangeError,
      message,
    );
  }
  const keys = upload(gpu.device, new Float32Array(10));
  await assertRejects(
    () =>
      RingWrite.create(gpu.pipelines, {
        ...shape,
        layers: [{ keys, values: keys }],
      }),
    RangeError,
    "40 bytes",
  );
});

async function compareWithTwin(gpu: Gpu, shape: Shape): Promise<void> {
  const { device } = gpu;
  const { write, buffers, caches } = await open(gpu, shape);
  const twins = caches.map(({ keys, values }) => ({
    keys: Float64Array.from(keys),
    values: Float64Array.from(values),
  }));
  const tolerance = shape.element === "f16" ? 2 ** -10 : 1e-6;
  for (const seed of [1, 2]) {
    const random = createRandom(seed);
    const moves = randomMoves(shape, random);
    const by = angles(shape.angles, shape.rotated / 2, random);
    write.run(moves, by);
    for (const twin of twins) moveRows(twin, moves, { ...shape, angles: by });
  }
  for (const [layer, { keys, values }] of buffers.entries()) {
    const key = rowsOf(shape.element, await download(device, keys));
    const value = rowsOf(shape.element, await download(device, values));
    assertNear(key, twins[layer]!.keys, 2 * tolerance);
    assertSame(value, twins[layer]!.values);
  }
  write.destroy();
}

async function open(
  { device, pipelines }: Gpu,
  shape: Shape,
): Promise<{
  write: RingWrite;
  buffers: HostCache<GPUBuffer>[];
  caches: HostCache<Rows>[];
}> {
  const random = createRandom(shape.rows);
  const tensor = () => randomRows(shape.element, sizeOf(shape), random);
  const caches = Array.from(
    { length: shape.layers },
    () => ({ keys: tensor(), values: tensor() }),
  );
  const buffers = caches.map(({ keys, values }) => ({
    keys: upload(device, keys),
    values: upload(device, values),
  }));
  const options = { ...shape, layers: buffers };
  return { write: await RingWrite.create(pipelines, options), buffers, caches };
}

function sizeOf({ slots, heads, rows, width }: Shape): number {
  return slots * heads * rows * width;
}

/** Disjoint moves: half of every slot's rows to the other half, at most. */
function randomMoves(
  { slots, rows, most, angles, rotated }: Shape,
  random: Random,
): RowMove[] {
  const moves: RowMove[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const order = Array.from({ length: rows }, (_, row) => row)
      .map((row) => ({ row, at: random() })).sort((a, b) => a.at - b.at);
    for (let i = 0; 2 * i + 1 < rows; i++) {
      const angle = rotated > 0 ? Math.floor(random() * (angles + 1)) - 1 : 0;
      const [from, to] = [order[2 * i]!.row, order[2 * i + 1]!.row];
      moves.push({ slot, from, to, angle });
    }
  }
  return moves.slice(0, most);
}

function angles(rows: number, half: number, random: Random): Angles {
  const angle = Float64Array.from(
    { length: rows * half },
    () => random() * 2 * Math.PI,
  );
  return {
    cos: Float32Array.from(angle, Math.cos),
    sin: Float32Array.from(angle, Math.sin),
  };
}
