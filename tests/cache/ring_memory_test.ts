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

/** Every kind of tensor: what it holds, and which of its dimensions the tokens are. */
const TENSORS: CacheTensor[] = (["sinks", "window", "all"] as const).flatMap((
  holds,
) => [
  {
    name: `${holds}_rows`,
    rows: "a",
    heads: 3,
    width: 4,
    tokensLast: false,
    holds,
  },
  {
    name: `${holds}_columns`,
    rows: "b",
    heads: 2,
    width: 5,
    tokensLast: true,
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
  tensor: CacheTensor,
  [head, token, i]: [head: number, token: number, i: number],
): number {
  const [, , , rows, cols] = dims as [number, number, number, number, number];
  const [row, col] = tensor.tokensLast ? [i, token] : [token, i];
  return data[(head * rows + row) * cols + col]!;
}

Deno.test("ring memory: a token's rows lie where the views say, and nothing else changes", () => {
  fc.assert(
    fc.property(
      places,
      fc.nat(SLOTS - 1),
      fc.integer({ min: 1, max: 4 }),
      fc.nat(),
      (place, slot, chunk, which) => {
        const memory = new RingMemory(
          { layers: LAYERS, tensors: TENSORS },
          LAYOUT,
          SLOTS,
        );
        const token = which % chunk;
        let next = 1;
        const rows = Object.fromEntries(
          Object.entries(ROW_WIDTHS).map(([name, width]) => [
            name,
            Float32Array.from({ length: chunk * width }, () => next++),
          ]),
        );
        memory.write(slot, place, rows, token);
        for (const tensor of TENSORS) {
          checkTensor(memory, tensor, { place, slot, rows, token });
        }
      },
    ),
  );
});

function checkTensor(
  memory: RingMemory,
  tensor: CacheTensor,
  written: {
    place: RowPlace;
    slot: number;
    rows: Record<string, Float32Array>;
    token: number;
  },
): void {
  const { heads, width } = tensor;
  const column = tokenAt(tensor, written.place);
  for (let layer = 0; layer < LAYERS; layer++) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const view = memory.view(tensor, layer, slot);
      const tokens = tensorTokens(tensor, LAYOUT);
      assertEquals(view.dims.reduce((a, b) => a * b, 1), view.data.length);
      assertEquals(view.data.length, heads * width * tokens);
      for (let head = 0; head < heads; head++) {
        for (let token = 0; token < tokens; token++) {
          for (let i = 0; i < width; i++) {
            const at =
              ((written.token * LAYERS + layer) * heads + head) * width + i;
            const here = slot === written.slot && token === column;
            const expected = here ? written.rows[tensor.rows]![at]! : 0;
            assertEquals(valueAt(view, tensor, [head, token, i]), expected);
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
      { part: "window", index: p % LAYOUT.windowRows },
      rows,
      0,
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
