import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Element } from "../../kernels/element.ts";
import type { RowBlock } from "../../kernels/row_block.ts";
import { SlotCopy } from "../../kernels/slot_copy.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { download, gpuTest, upload } from "../gpu.ts";
import { copyRows } from "./reference.ts";
import { assertSame, ELEMENTS, randomBits, type Rows } from "./rows.ts";

interface Case {
  readonly name: string;
  readonly heads: number;
  readonly width: number;
  readonly rows: number;
  readonly from: Place;
  readonly to: Place;
}

type Place = Omit<RowBlock, "buffer"> & { slots: number };

const CASES: readonly Case[] = [
  {
    name: "a row of two elements",
    heads: 1,
    width: 2,
    rows: 1,
    from: { slots: 1, rows: 1 },
    to: { slots: 1, rows: 1 },
  },
  {
    name: "the first rows of a slot to another one's",
    heads: 3,
    width: 10,
    rows: 6,
    from: { slots: 2, rows: 7, slot: 1 },
    to: { slots: 3, rows: 9, slot: 2 },
  },
  {
    name: "rows in the middle to a packed block and an offset",
    heads: 5,
    width: 64,
    rows: 100,
    from: { slots: 4, rows: 133, slot: 3, firstRow: 33 },
    to: { slots: 1, rows: 100, offset: 4096 },
  },
];

for (const element of ELEMENTS) {
  for (const { name, ...of } of CASES) {
    gpuTest(`slot_copy copies ${name}, ${element}`, async ({
      device,
      pipelines,
    }) => {
      const shape = { heads: of.heads, width: of.width, element };
      const from = randomPlace(element, of, of.from);
      const to = randomPlace(element, of, of.to);
      const copy = await SlotCopy.create(pipelines, shape);
      const source = { ...of.from, buffer: upload(device, from) };
      const place = { ...of.to, buffer: upload(device, to) };
      copy.run([{ from: source, to: place, rows: of.rows }]);
      const [fromBits, toBits] = [bitsOf(from), bitsOf(to)];
      copyRows(
        { ...of.from, data: fromBits },
        { ...of.to, data: toBits },
        of,
      );
      const actual = new Uint8Array(await download(device, place.buffer));
      const expected = new Uint8Array(to.buffer);
      assertSame(actual.subarray(0, expected.length), expected);
    });
  }
}

gpuTest(
  "slot_copy copies from slot to slot of one buffer, and swaps them through a third",
  async ({
    device,
    pipelines,
  }) => {
    const shape = { heads: 2, width: 6, element: "f32" } as const;
    const data = randomBits("f32", 2 * 2 * 5 * 6, createRandom(5));
    const buffer = upload(device, data);
    const spare = { buffer: upload(device, new Float32Array(60)), rows: 5 };
    const copy = await SlotCopy.create(pipelines, shape);
    const slots = [0, 1].map((slot) => ({ buffer, rows: 5, slot }));
    copy.run([
      { from: slots[0]!, to: spare, rows: 5 },
      { from: slots[1]!, to: slots[0]!, rows: 5 },
      { from: spare, to: slots[1]!, rows: 5 },
    ]);
    const bits = bitsOf(data);
    const actual = new Uint32Array(await download(device, buffer));
    assertSame(actual.subarray(0, 60), bits.subarray(60));
    assertSame(actual.subarray(60), bits.subarray(0, 60));
  },
);

gpuTest(
  "slot_copy copies 150 tensors in one call, in order, with one buffer",
  async ({
    device,
    pipelines,
  }) => {
    const shape = { heads: 1, width: 4, element: "f32" } as const;
    const data = Float32Array.from({ length: 151 * 4 }, (_, i) => i);
    const buffer = upload(device, data);
    const copy = await SlotCopy.create(pipelines, shape);
    const bytes = copy.bytes;
    // Each row goes to the next: the first arrives everywhere, if they are in order.
    copy.run(Array.from({ length: 150 }, (_, i) => ({
      from: { buffer, rows: 151, firstRow: i },
      to: { buffer, rows: 151, firstRow: i + 1 },
      rows: 1,
    })));
    const actual = new Float32Array(await download(device, buffer));
    assertSame(actual, data.map((_, i) => i % 4));
    assertEquals(copy.bytes, bytes);
    copy.destroy();
    assertEquals(copy.bytes, 0);
  },
);

gpuTest("slot_copy refuses what is out of range and copies nothing", async ({
  device,
  pipelines,
}) => {
  const shape = { heads: 2, width: 4, element: "f16" } as const;
  const from = {
    buffer: upload(device, new Float32Array(40).fill(7)),
    rows: 5,
  };
  const to = { buffer: upload(device, new Float32Array(40)), rows: 5 };
  const copy = await SlotCopy.create(pipelines, shape);
  const good = { from, to, rows: 5 };
  for (
    const wrong of [
      { from: { ...from, slot: 2 } },
      { from: { ...from, slot: -1 } },
      { from: { ...from, firstRow: 1 } },
      { to: { ...to, rows: 4 } },
      { to: { ...to, offset: 42 } },
      { to: { ...to, offset: 1 } },
      { rows: 6 },
      { rows: 1.5 },
    ]
  ) {
    assertThrows(() => copy.run([good, { ...good, ...wrong }]), RangeError);
  }
  copy.run([{ ...good, rows: 0 }]);
  assertEquals(
    new Float32Array(await download(device, to.buffer)),
    new Float32Array(40),
  );
  await assertRejects(
    () => SlotCopy.create(pipelines, { ...shape, width: 3 }),
    RangeError,
    "width",
  );
});

function randomPlace(
  element: Element,
  { heads, width }: Case | Omit<Case, "name">,
  { slots, rows, offset = 0 }: Place,
): Rows {
  const size = offset + slots * heads * rows * width;
  return randomBits(element, size, createRandom(size));
}

function bitsOf(rows: Rows): Uint16Array | Uint32Array {
  return rows instanceof Float32Array
    ? new Uint32Array(rows.buffer)
    : new Uint16Array(rows.buffer);
}
