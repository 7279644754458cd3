import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type CacheTensor,
  conversationBytes,
  tensorTokens,
} from "../../lib/cache/layout.ts";
import { RingMemory } from "../../lib/cache/ring_memory.ts";
import type { RowPlace } from "../../lib/cache/sink_window.ts";

const LAYERS = 3;
const SLOTS = 4;
const LAYOUT = { sinkRows: 2, windowRows: 5 };

/** Every kind of tensor, in two sizes. */
const TENSORS: CacheTensor[] = (["sinks", "window", "all"] as const).flatMap((
  holds,
) => [
  {
    name: `${holds}_narrow`,
    rows: "a",
    heads: 3,
    width: 4,
    holds,
  },
  {
    name: `${holds}_wide`,
    rows: "b",
    heads: 2,
    width: 5,
    holds,
  },
]);
const ROW_WIDTHS = { a: LAYERS * 3 * 4, b: LAYERS * 2 * 5 };

const places: fc.Arbitrary<RowPlace> = fc.oneof(
  fc.record({
    part: fc.constant("sinks" as const),
    index: fc.nat(LAYOUT.sinkRows - 1),
  }),
  fc.record({
    part: fc.constant("window" as const),
    index: fc.nat(LAYOUT.windowRows - 1),
  }),
);

/** Which of a tensor's tokens lies at a place; `null` if it does not hold that part. */
function tokenAt(
  tensor: CacheTensor,
  { part, index }: RowPlace,
): number | null {
  if (tensor.holds === "all") {
    return part === "sinks" ? index : LAYOUT.sinkRows + index;
  }
  return tensor.holds === part ? index : null;
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
      const view = memory.view(tensor, layer, slot);
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
    TENSORS.map((tensor) => memory.view(tensor, 0, 0).data.buffer);
  const before = buffers();
  const rows = {
    a: new Float32Array(ROW_WIDTHS.a).fill(1),
    b: new Float32Array(ROW_WIDTHS.b),
  };
  for (let p = 0; p < 100; p++) {
    memory.write(
      p % SLOTS,
      [{ part: "window", index: p % LAYOUT.windowRows }],
      rows,
    );
  }
  assert(buffers().every((buffer, i) => buffer === before[i]));
  assertEquals(memory.bytes, SLOTS * expected);
});

Deno.test("ring memory: slots share no memory", () => {
  const memory = new RingMemory(
    { layers: LAYERS, tensors: TENSORS },
    LAYOUT,
    SLOTS,
  );
  for (let slot = 0; slot < SLOTS; slot++) {
    for (const tensor of TENSORS) {
      memory.view(tensor, 1, slot).data.fill(slot + 1);
    }
  }
  for (let slot = 0; slot < SLOTS; slot++) {
    for (const tensor of TENSORS) {
      assert(
        memory.view(tensor, 1, slot).data.every((value) => value === slot + 1),
      );
      assert(memory.view(tensor, 0, slot).data.every((value) => value === 0));
    }
  }
});

Deno.test("ring memory: lines are spread as the window fills, and what they hold stays", () => {
  const layout = { sinkRows: 2, windowRows: 300 };
  const memory = new RingMemory(
    { layers: LAYERS, tensors: TENSORS },
    layout,
    2,
  );
  const bytes = memory.bytes;
  const value = (tensor: number, column: number, line: number) =>
    tensor * 100_000 + column * 100 + line;
  const sizes = new Set<number>();
  for (let p = 0; p < 300; p++) {
    memory.reserve(1, p + 1);
    const rows = Object.fromEntries(
      Object.entries(ROW_WIDTHS).map(([name, width], i) => [
        name,
        Float32Array.from({ length: width }, (_, line) => value(i, p, line)),
      ]),
    );
    memory.write(1, [{ part: "window", index: p }], rows);
    sizes.add(memory.layoutOf(1).windowRows);
    if (![0, 63, 64, 200, 299].includes(p)) continue;
    for (const tensor of TENSORS.filter(({ holds }) => holds !== "sinks")) {
      const view = memory.view(tensor, 1, 1);
      const first = tensor.holds === "all" ? layout.sinkRows : 0;
      const { heads, width } = tensor;
      for (let line = 0; line < heads * width; line++) {
        for (let q = 0; q <= p; q++) {
          assertEquals(
            valueAt(view, [0, first + q, line]),
            value(tensor.rows === "a" ? 0 : 1, q, heads * width + line),
          );
        }
      }
    }
  }
  assertEquals([...sizes], [64, 128, 256, 300]);
  assertEquals(memory.bytes, bytes);
  for (const tensor of TENSORS) { // the other slot is as it was
    assert(memory.view(tensor, 1, 0).data.every((x) => x === 0));
  }
  memory.reset(1);
  assertEquals(memory.layoutOf(1).windowRows, 64);
});
