import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { PackRows } from "../../kernels/pack_rows.ts";
import {
  packedGroups,
  type PackedRows,
  type PackedShape,
} from "../../kernels/packed_rows.ts";
import { UnpackRows } from "../../kernels/unpack_rows.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { download, type Gpu, gpuTest, upload } from "../gpu.ts";
import { groupElements, packGroup, roundHalfEven } from "./reference.ts";
import {
  assertNear,
  assertSame,
  ELEMENTS,
  randomRows,
  type Rows,
  rowsOf,
} from "./rows.ts";

const SHAPES = [
  { heads: 1, width: 2, rows: 1 },
  { heads: 3, width: 64, rows: 32 },
  { heads: 2, width: 70, rows: 45 },
  { heads: 1, width: 32, rows: 300 },
];

for (const element of ELEMENTS) {
  for (const bits of [4, 8] as const) {
    for (const groupedBy of ["token", "channel"] as const) {
      gpuTest(
        `pack_rows and unpack_rows do as their twins: ${element}, ${bits} bits by ${groupedBy}`,
        async (gpu) => {
          for (const { rows, ...shape } of SHAPES) {
            const packed = { ...shape, element, bits, groupedBy };
            await compareWithTwin(gpu, packed, rows);
          }
        },
      );
    }
  }
}

for (const groupedBy of ["token", "channel"] as const) {
  gpuTest(
    `groups by ${groupedBy} that are constant or whole codes come back exactly`,
    async (gpu) => {
      const shape = { heads: 1, width: 64, element: "f32", bits: 4, groupedBy };
      const square = Float32Array.from({ length: 64 * 64 }, (_, i) => {
        const [row, column] = [Math.floor(i / 64), i % 64];
        const [group, at] = groupedBy === "token"
          ? [row, column]
          : [column, row];
        return group % 2 === 0 ? 0.1 * group : (at * 7) % 16 - 5;
      });
      const { back } = await packAndBack(gpu, shape as PackedShape, square);
      assertSame(back, square);
    },
  );
}

gpuTest("pack_rows rounds half to even", async (gpu) => {
  const shape = { heads: 1, width: 8, element: "f32", bits: 4 } as const;
  const row = Float32Array.of(0, 15, 0.5, 1.5, 2.5, 3.5, 13.5, 14.5);
  const packed: PackedShape = { ...shape, groupedBy: "token" };
  const { back } = await packAndBack(gpu, packed, row);
  assertEquals(back, Float32Array.of(0, 15, 0, 2, 2, 4, 14, 14));
});

gpuTest(
  "rows go through a shared packed buffer to another place, and nothing else changes",
  async ({
    device,
    pipelines,
  }) => {
    const shape: PackedShape = {
      heads: 2,
      width: 6,
      element: "f16",
      bits: 8,
      groupedBy: "channel",
    };
    const groups = packedGroups(shape, 10);
    const rows = randomRows("f16", 3 * 2 * 40 * 6, createRandom(3));
    // Rows of the same value at both places come back exactly.
    const from = { buffer: upload(device, rows.fill(1.5)), rows: 40 };
    const target = upload(device, rowsOf("f16", 2 * 2 * 30 * 6));
    const packed: PackedRows = {
      ...packedBuffers(device, shape, 3 * groups),
      firstGroup: groups,
    };
    const pack = await PackRows.create(pipelines, shape);
    const unpack = await UnpackRows.create(pipelines, shape);
    const source = { ...from, slot: 2, firstRow: 30 };
    pack.run([{ from: source, to: packed, rows: 10 }]);
    const to = { buffer: target, rows: 30, slot: 1, firstRow: 5 };
    unpack.run([{ from: packed, to, rows: 10 }]);
    const scales = new Float32Array(await download(device, packed.scales));
    assertSame(
      scales,
      scales.map((_, i) =>
        i >= 2 * groups && i < 4 * groups && i % 2 === 1 ? 1.5 : 0
      ),
    );
    const expected = rowsOf("f16", 2 * 2 * 30 * 6).map((_, i) => {
      const [slot, row] = [Math.floor(i / 360), Math.floor(i / 6) % 30];
      return slot === 1 && row >= 5 && row < 15 ? 1.5 : 0;
    });
    assertSame(rowsOf("f16", await download(device, target)), expected);
    assert(pack.bytes > 0 && unpack.bytes > 0);
    pack.destroy();
    unpack.destroy();
    assertEquals(pack.bytes + unpack.bytes, 0);
  },
);

gpuTest("pack_rows and unpack_rows refuse what is out of range", async ({
  device,
  pipelines,
}) => {
  const shape: PackedShape = {
    heads: 1,
    width: 4,
    element: "f16",
    bits: 4,
    groupedBy: "token",
  };
  const pack = await PackRows.create(pipelines, shape);
  const unpack = await UnpackRows.create(pipelines, shape);
  const block = { buffer: upload(device, rowsOf("f16", 4 * 8)), rows: 8 };
  const packed = packedBuffers(device, shape, 8);
  for (
    const [rows, part, whole] of [
      [9, {}, {}],
      [8, {}, { firstGroup: 1 }],
      [8, {}, { firstGroup: -1 }],
      [8, {}, { scales: upload(device, new Float32Array(15)) }],
      [8, {}, { codes: upload(device, new Float32Array(31)) }],
      [8, { slot: 1 }, {}],
    ] as const
  ) {
    const from = { ...block, ...part };
    const to = { ...packed, ...whole };
    assertThrows(() => pack.run([{ from, to, rows }]), RangeError);
    assertThrows(
      () => unpack.run([{ from: to, to: from, rows }]),
      RangeError,
    );
  }
  const odd = { ...shape, width: 5 };
  await assertRejects(() => PackRows.create(pipelines, odd), RangeError);
  await assertRejects(() => UnpackRows.create(pipelines, odd), RangeError);
});

async function compareWithTwin(
  gpu: Gpu,
  shape: PackedShape,
  rows: number,
): Promise<void> {
  const { bits, element } = shape;
  const length = shape.heads * rows * shape.width;
  const data = randomRows(element, length, createRandom(length));
  const { back, codes, scales } = await packAndBack(gpu, shape, data);
  for (const [g, places] of groupElements(shape, rows).entries()) {
    const twin = packGroup(places.map((place) => data[place]!), bits);
    const [scale, zero] = [scales[2 * g]!, scales[2 * g + 1]!];
    assertAlmostEquals(scale, twin.scale, 1e-6);
    assertEquals(zero, twin.zero);
    const all = Array.from({ length: 32 }, (_, i) => {
      const bit = i * bits;
      return codes[g * bits + (bit >> 5)]! >>> (bit & 31) & (2 ** bits - 1);
    });
    const own = all.slice(0, places.length);
    assert(all.slice(places.length).every((code) => code === 0), "padding");
    for (const [i, code] of twin.codes.entries()) {
      const half = Math.abs(code % 1 - 0.5) < 1e-3;
      const near = half ? Math.abs(own[i]! - code) < 0.51 : false;
      assert(
        near || own[i] === roundHalfEven(code),
        `group ${g}, ${i}: ${own[i]} is not ${code}`,
      );
    }
    const unpacked = places.map((place) => back[place]!);
    const tolerance = element === "f16" ? 2 ** -10 : 1e-6;
    assertNear(unpacked, own.map((code) => zero + code * scale), tolerance);
  }
}

/** Packs `[heads, rows, width]` and unpacks it again. */
async function packAndBack(
  { device, pipelines }: Gpu,
  shape: PackedShape,
  data: Rows,
): Promise<{ back: Rows; codes: Uint32Array; scales: Float32Array }> {
  const rows = data.length / shape.heads / shape.width;
  const block = { buffer: upload(device, data), rows };
  const packed = packedBuffers(device, shape, packedGroups(shape, rows));
  const pack = await PackRows.create(pipelines, shape);
  const unpack = await UnpackRows.create(pipelines, shape);
  pack.run([{ from: block, to: packed, rows }]);
  const codes = new Uint32Array(await download(device, packed.codes));
  const scales = new Float32Array(await download(device, packed.scales));
  const to = {
    buffer: upload(device, rowsOf(shape.element, data.length)),
    rows,
  };
  unpack.run([{ from: packed, to, rows }]);
  const back = rowsOf(shape.element, await download(device, to.buffer));
  pack.destroy();
  unpack.destroy();
  return { back, codes, scales };
}

function packedBuffers(
  device: GPUDevice,
  { bits }: PackedShape,
  groups: number,
): PackedRows {
  return {
    codes: upload(device, new Uint32Array(groups * bits)),
    scales: upload(device, new Float32Array(groups * 2)),
  };
}
