import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type CacheTensor,
  conversationBytes,
  tensorTokens,
  usedLayout,
} from "../../lib/cache/layout.ts";
import { RingMemory } from "../../lib/cache/ring_memory.ts";
import type { RowPlace } from "../../lib/cache/sink_window.ts";

const LAYERS = 3;
const SLOTS = 4;
const LAYOUT = { sinkRows: 2, blocks: [2, 3] };
const RING = 5;
const ONE = { first: 0, count: 1 };

/** Every kind of tensor, in two sizes. */
const TENSORS: CacheTensor[] = [
  { name: "sinks", sinks: true, block: null },
  { name: "first", sinks: false, block: 0 },
  { name: "second", sinks: false, block: 1 },
  { name: "sinks_first", sinks: true, block: 0 },
].flatMap((tensor) => [
  { ...tensor, rows: "a", heads: 3, width: 4 },
  { ...tensor, rows: "b", heads: 2, width: 5 },
]);
const ROW_WIDTHS = { a: LAYERS * 3 * 4, b: LAYERS * 2 * 5 };

const places: fc.Arbitrary<RowPlace> = fc.oneof(
  fc.record({
    part: fc.constant("sinks" as const),
    index: fc.nat(LAYOUT.sinkRows - 1),
  }),
  fc.record({
    part: fc.constant("window" as const),
    index: fc.nat(RING - 1),
  }),
);

/** Which of a tensor's tokens lies at a place; `null` if it does not hold it. */
function tokenAt(
  { sinks, block }: CacheTensor,
  { part, index }: RowPlace,
): number | null {
  if (part === "sinks") return sinks ? index : null;
  const inBlock = index < 2 ? 0 : 1;
  if (inBlock !== block) return null;
  return (sinks ? 2 : 0) + (inBlock === 0 ? index : index - 2);
}

/** One value of a view, by its dimensions as they are said to be. */
function valueAt(
  { data, dims }: { data: Float32Array; dims: number[] },
  [head, token, i]: [head: number, token: number, i: number],
): number {
  const [, , , rows, cols] = dims as [number, number, number, number, number];
  return data[(head * rows + i) * cols + token]!;
}

Deno.test("ring memory: a token's rows lie where the views say, and nothing else changes", () => {
  fc.assert(
    fc.property(
      fc.array(places, { minLength: 1, maxLength: 4 }),
      fc.nat(SLOTS - 1),
      (places, slot) => {
        const chunk = places.length;
        const memory = new RingMemory(
          { layers: LAYERS, tensors: TENSORS },
          LAYOUT,
          SLOTS,
        );
        let next = 1;
        const rows = Object.fromEntries(
          Object.entries(ROW_WIDTHS).map(([name, width]) => [
            name,
            Float32Array.from({ length: chunk * width }, () => next++),
          ]),
        );
        memory.write(slot, places, rows);
        for (const tensor of TENSORS) {
          checkTensor(memory, tensor, { places, slot, rows });
        }
      },
    ),
  );
});

function checkTensor(
  memory: RingMemory,
  tensor: CacheTensor,
  written: {
    places: RowPlace[];
    slot: number;
    rows: Record<string, Float32Array>;
  },
): void {
  const { heads, width } = tensor;
  const columns = written.places.map((place) => tokenAt(tensor, place));
  const chunk = columns.length;
  for (let layer = 0; layer < LAYERS; layer++) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const view = memory.view(
        tensor,
        layer,
        { first: slot, count: 1 },
        LAYOUT,
      );
      const tokens = tensorTokens(tensor, LAYOUT);
      assertEquals(view.dims.reduce((a, b) => a * b, 1), view.data.length);
      assertEquals(view.data.length, heads * width * tokens);
      for (let head = 0; head < heads; head++) {
        for (let token = 0; token < tokens; token++) {
          for (let i = 0; i < width; i++) {
            // Of several rows for one place the last stays.
            const t = slot === written.slot ? columns.lastIndexOf(token) : -1;
            const at = ((layer * heads + head) * chunk + t) * width + i;
            const expected = t < 0 ? 0 : written.rows[tensor.rows]![at]!;
            assertEquals(valueAt(view, [head, token, i]), expected);
          }
        }
      }
    }
  }
}

Deno.test("ring memory: bytes are what a conversation's bytes are said to be, for ever", () => {
  const memory = new RingMemory(
    { layers: LAYERS, tensors: TENSORS },
    LAYOUT,
    SLOTS,
  );
  const expected = conversationBytes(
    { layers: LAYERS, tensors: TENSORS, bytesPerElement: 4 },
    LAYOUT,
  );
  assertEquals([memory.slotBytes, memory.bytes], [expected, SLOTS * expected]);
  const buffers = () =>
    TENSORS.map((tensor) => memory.view(tensor, 0, ONE, LAYOUT).data.buffer);
  const before = buffers();
  const rows = {
    a: new Float32Array(ROW_WIDTHS.a).fill(1),
    b: new Float32Array(ROW_WIDTHS.b),
  };
  for (let p = 0; p < 100; p++) {
    memory.write(
      p % SLOTS,
      [{ part: "window", index: p % RING }],
      rows,
    );
  }
  assert(buffers().every((buffer, i) => buffer === before[i]));
  assertEquals(memory.bytes, SLOTS * expected);
});

Deno.test("ring memory: slots lie side by side and share no memory", () => {
  const memory = new RingMemory(
    { layers: LAYERS, tensors: TENSORS },
    LAYOUT,
    SLOTS,
  );
  const view = (tensor: CacheTensor, layer: number, first: number, count = 1) =>
    memory.view(tensor, layer, { first, count }, LAYOUT);
  for (let slot = 0; slot < SLOTS; slot++) {
    for (const tensor of TENSORS) view(tensor, 1, slot).data.fill(slot + 1);
  }
  for (const tensor of TENSORS) {
    const { data, dims } = view(tensor, 1, 1, 3);
    assertEquals(dims[0], 3);
    const slots = [1, 2, 3].map((slot) => view(tensor, 1, slot).data);
    assertEquals([...data], slots.flatMap((values) => [...values]));
    for (let slot = 0; slot < SLOTS; slot++) {
      assert(view(tensor, 1, slot).data.every((value) => value === slot + 1));
      assert(view(tensor, 0, slot).data.every((value) => value === 0));
    }
  }
});

Deno.test("ring memory: of a block that is not in use one row of zeros is seen", () => {
  const memory = new RingMemory(
    { layers: LAYERS, tensors: TENSORS },
    LAYOUT,
    SLOTS,
  );
  const range = { first: 1, count: 2 };
  for (const tensor of TENSORS) {
    memory.view(tensor, 0, range, LAYOUT).data.fill(7);
    const { data, dims } = memory.view(tensor, 0, range, usedLayout(LAYOUT, 2));
    const tokens = (tensor.sinks ? 2 : 0) +
      (tensor.block === 0 ? 2 : tensor.block === 1 ? 1 : 0);
    assertEquals(dims, [2, tensor.heads, 1, tensor.width, tokens]);
    assertEquals(data.length, dims.reduce((a, b) => a * b));
    assert(data.every((x) => x === (tensor.block === 1 ? 0 : 7)), tensor.name);
  }
});

Deno.test("ring memory: a copy holds what is in use, bit for bit, wherever it is put", () => {
  const random = () => Math.fround(Math.random() * 2 - 1);
  for (const used of [0, 1, 2, 3, 4, 5]) {
    const memory = new RingMemory(
      { layers: LAYERS, tensors: TENSORS },
      LAYOUT,
      SLOTS,
    );
    const places: RowPlace[] = [
      { part: "sinks", index: 0 },
      { part: "sinks", index: 1 },
      ...Array.from(
        { length: used },
        (_, index) => ({ part: "window" as const, index }),
      ),
    ];
    const rows = Object.fromEntries(
      Object.entries(ROW_WIDTHS).map(([name, width]) => [
        name,
        Float32Array.from({ length: places.length * width }, random),
      ]),
    );
    memory.write(1, places, rows);
    const all = (slot: number) =>
      TENSORS.flatMap((tensor) =>
        [0, 1, 2].map((layer) =>
          memory.view(tensor, layer, { first: slot, count: 1 }, LAYOUT).data
        )
      );
    const expected = all(1).map((data) => data.slice());
    const copy = memory.copy(1, used);
    for (const data of all(1)) data.fill(9);
    memory.paste(3, copy);
    assertEquals(all(3), expected);
    assert(all(2).every((data) => data.every((x) => x === 0)));
    assert(all(1).every((data) => data.every((x) => x === 9)));
    const widths = TENSORS.map(({ sinks, block, heads, width }) => {
      const ring = block === null
        ? 0
        : block === 0
        ? Math.min(used, 2)
        : Math.max(0, used - 2);
      return heads * width * ((sinks ? 2 : 0) + ring);
    });
    assertEquals(copy.bytes, 4 * LAYERS * widths.reduce((a, b) => a + b));
  }
});
