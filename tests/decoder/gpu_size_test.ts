import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  bankRows,
  bankSlots,
  type GpuSize,
  gpuSlotBytes,
  slotsIn,
  stageRows,
} from "../../lib/decoder/gpu/gpu_size.ts";
import { FusedGroupedQueryAttention } from "../../lib/graph/attention/fused_grouped_query.ts";
import type { DecoderPlan } from "../../lib/graph/convert.ts";
import type { DecoderShape } from "../../lib/graph/decoder_shape.ts";

const SIZE: GpuSize = {
  slots: 8,
  sinks: 4,
  window: 1020,
  chunk: 64,
  element: "f32",
};

/** Of a model with keys and values of some heads: SmolLM2-135M's, if nothing else is said. */
function plan(
  { layers = 30, kvHeads = 3, headDim = 64, floats = "float32" }: {
    layers?: number;
    kvHeads?: number;
    headDim?: number;
    floats?: "float32" | "float16";
  } = {},
): DecoderPlan {
  const shape = { layers, kvHeads, heads: 3 * kvHeads, headDim };
  const attention = new FusedGroupedQueryAttention(
    shape as DecoderShape, // all that it needs of it
    floats,
  );
  return { shape, attention } as unknown as DecoderPlan;
}

/** Rows of a head of a slot, by definition: sinks, window, one copy of the sinks, one spare row a slot of the bank. */
function rowsOf({ sinks, window }: GpuSize, slots: number): number {
  return 2 * Math.max(1, sinks) + window + slots;
}

const sizes = fc.record({
  slots: fc.integer({ min: 1, max: 200 }),
  sinks: fc.nat(8),
  window: fc.integer({ min: 1, max: 300 }),
  chunk: fc.integer({ min: 1, max: 64 }),
  element: fc.constantFrom("f32" as const, "f16" as const),
});

Deno.test("sizes on a GPU: a slot's rows and bytes are counted whole", () => {
  const rows = bankRows(SIZE, 8);
  assertEquals(rows, { sinks: 4, window: 1020, copies: 1, spare: 8 });
  assertEquals(bankRows({ ...SIZE, sinks: 0 }, 1).sinks, 1);
  const tensors = plan({ floats: "float16" }).attention.tensors(0);
  const cache = { layers: 30, tensors };
  assertEquals(
    gpuSlotBytes(cache, rows),
    30 * 2 * 3 * 64 * 2 * (4 + 1020 + 4 + 8),
  );
});

Deno.test("sizes on a GPU: a memory holds as many slots as fit with their spare rows, and not one more", () => {
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 3 }),
      fc.double({ min: 1, max: 60, noNaN: true }),
      (size, kvHeads, factor) => {
        const bytesPerElement = size.element === "f16" ? 2 : 4;
        const row = 2 * 2 * kvHeads * 16 * bytesPerElement;
        const bytes = (slots: number) => slots * rowsOf(size, slots) * row;
        const memory = Math.floor(bytes(1) * factor);
        const floats = size.element === "f16" ? "float16" : "float32";
        const of = plan({ layers: 2, kvHeads, headDim: 16, floats });
        const slots = slotsIn(memory, size, of);
        assert(bytes(slots) <= memory, `${slots} slots are too many`);
        assert(bytes(slots + 1) > memory, `${slots} slots are too few`);
      },
    ),
  );
});

Deno.test("sizes on a GPU: a memory without room for one slot is refused, and the message says what one takes", () => {
  const each = 30 * 2 * 3 * 64 * 4 * (4 + 1020 + 4 + 1);
  assertEquals(slotsIn(each, SIZE, plan()), 1);
  const two = 2 * 30 * 2 * 3 * 64 * 4 * (4 + 1020 + 4 + 2);
  assertEquals([two - 1, two].map((bytes) => slotsIn(bytes, SIZE, plan())), [
    1,
    2,
  ]);
  const message = `Cannot keep a conversation in ${each - 1} bytes ` +
    `(EVERSTREAM_MEMORY): 4 sinks and a window of 1020 tokens take ${each}. ` +
    "Give at least that, or make EVERSTREAM_WINDOW smaller";
  assertThrows(() => slotsIn(each - 1, SIZE, plan()), RangeError, message);
});

Deno.test("sizes on a GPU: every bank's tensors can be bound, and banks are no more than twice as many as needed", () => {
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 4 }),
      fc.double({ min: 1, max: 250, noNaN: true }),
      (size, heads, factor) => {
        const row = heads * 16 * (size.element === "f16" ? 2 : 4);
        const bytes = (slots: number) => slots * rowsOf(size, slots) * row;
        const most = Math.floor(bytes(1) * factor);
        const slots = bankSlots(size, { heads, width: 16 }, most);
        assert(Number.isInteger(slots) && slots >= 1 && slots <= size.slots);
        assert(bytes(slots) <= most, `${slots} slots cannot be bound`);
        if (slots < size.slots) {
          assert(bytes(2 * slots) > most, `${2 * slots} slots could be`);
        }
      },
    ),
  );
});

Deno.test("sizes on a GPU: a slot that cannot be bound is refused, and the message says what it takes", () => {
  const cache = { heads: 3, width: 64 };
  const bytes = 3 * 64 * 4 * (4 + 1020 + 4 + 1);
  assertEquals(bankSlots(SIZE, cache, bytes), 1);
  const message =
    `Cannot keep a window of 1020 tokens on this GPU: a layer's keys take ${bytes} bytes, ` +
    `and it binds ${bytes - 1} at most. Make EVERSTREAM_WINDOW smaller`;
  assertThrows(() => bankSlots(SIZE, cache, bytes - 1), RangeError, message);
});

Deno.test("sizes on a GPU: the stage has copies of few sinks for a whole chunk, of many for 8 tokens", () => {
  const copies = (sinks: number, chunk = 64) => {
    const rows = stageRows({ ...SIZE, sinks, chunk });
    assertEquals(
      [rows.sinks, rows.window, rows.spare],
      [Math.max(1, sinks), 1020, chunk],
    );
    return rows.copies;
  };
  assertEquals([0, 1, 4, 5, 32, 33, 500].map((sinks) => copies(sinks)), [
    64,
    64,
    64,
    51,
    8,
    8,
    8,
  ]);
  assertEquals([copies(4, 3), copies(500, 3), copies(0, 1)], [3, 3, 1]);
});
