import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { RowData } from "../../lib/cache/layer_memory.ts";
import {
  type CacheTensor,
  conversationBytes,
  type LayerCache,
  layerCaches,
  ROW_TYPE_BYTES,
  type SlotLayout,
  tensorTokens,
  usedLayout,
  windowRows,
} from "../../lib/cache/layout.ts";
import { RingMemory } from "../../lib/cache/ring_memory.ts";
import {
  INT16_CODEC,
  INT4_CODEC,
  INT8_CODEC,
  type RowCodec,
} from "../../lib/cache/row_codec.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { KV_BITS } from "../../lib/cache/cache_format.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";

const LAYERS = 3;
const SLOTS = 4;
const LAYOUT: SlotLayout = { sinkRows: 2, tailRows: 2, blocks: [2, 3] };

/** What the graph gives: the rows' names, heads and widths, and how they are encoded where they are. */
const ROWS = [
  { rows: "a", heads: 3, width: 4, codec: INT8_CODEC },
  { rows: "b", heads: 2, width: 6, codec: INT4_CODEC },
  { rows: "c", heads: 1, width: 3, codec: INT16_CODEC },
] as const;

/** Every kind of tensor, over rows of every size: as columns, then by row. */
const TENSORS: CacheTensor[] = ROWS.flatMap((row) => {
  const columns = tensorsOf(row);
  const byRow = columns.map((tensor) => ({
    ...tensor,
    name: `${tensor.name}_by_row`,
    byRow: true,
  }));
  return [...columns, ...byRow];
});

function tensorsOf({ codec, ...row }: typeof ROWS[number]): CacheTensor[] {
  return [
    ...[
      { name: "sinks", sinks: true, tail: false, block: null },
      { name: "tail", sinks: false, tail: true, block: null },
      { name: "exact", sinks: true, tail: true, block: null },
      { name: "first", sinks: false, tail: false, block: 0 },
      { name: "second", sinks: false, tail: false, block: 1 },
      { name: "sinks_first", sinks: true, tail: false, block: 0 },
    ].map((tensor) => ({
      ...tensor,
      ...row,
      type: "float32" as const,
      byRow: false,
    })),
    ...[0, 1].flatMap((block) => encodedTensors(codec, row, block)),
  ];
}

function encodedTensors(
  codec: RowCodec,
  row: { rows: string; heads: number; width: number },
  block: number,
): CacheTensor[] {
  return codec.parts(row.width).map(({ suffix, type, width }, part) => ({
    ...row,
    name: `${codec.name}${suffix}${block}`,
    type,
    width,
    byRow: false,
    sinks: false,
    tail: false,
    block,
    encoded: { codec, part, rowWidth: row.width },
  }));
}

function layersOf(
  layouts: readonly SlotLayout[] = Array(LAYERS).fill(LAYOUT),
): LayerCache[] {
  return layouts.map((layout) => ({ tensors: TENSORS, layout }));
}

/** One tensor of some slots of a layer. */
function viewOf(
  memory: RingMemory,
  tensor: CacheTensor,
  { layer = 0, slot = 0, count = 1, used = memory.layers[layer]!.layout }: {
    layer?: number;
    slot?: number;
    count?: number;
    used?: SlotLayout;
  } = {},
) {
  const at = TENSORS.indexOf(tensor);
  return memory.views(layer, { first: slot, count }, used)[at]!;
}

/** All that a slot holds, by layer and tensor. */
function contents(memory: RingMemory, slot: number): RowData[] {
  return memory.layers.flatMap(({ layout }, layer) =>
    memory.views(layer, { first: slot, count: 1 }, layout)
      .map(({ data }) => data)
  );
}

/** The row of a token: different for each position, layer and head. */
function tokenRow(
  { rows, width }: typeof ROWS[number],
  of: { position: number; layer: number; head: number; seed: number },
): Float32Array {
  const { position, layer, head, seed } = of;
  const at = position * 97 + layer * 13 + head * 5 + seed;
  const phase = rows.charCodeAt(0);
  return Float32Array.from(
    { length: width },
    (_, i) => (1 + at % 7) * Math.sin(at + i * 1.7 + phase),
  );
}

/** Rows of some positions as the graph gives them. */
function graphRows(
  { first, count, layers = LAYERS, seed = 0 }: {
    first: number;
    count: number;
    layers?: number;
    seed?: number;
  },
): Record<string, Float32Array> {
  return Object.fromEntries(ROWS.map((row) => {
    const all: number[] = [];
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < row.heads; head++) {
        for (let position = first; position < first + count; position++) {
          all.push(...tokenRow(row, { position, layer, head, seed }));
        }
      }
    }
    return [row.rows, Float32Array.from(all)];
  }));
}

/** Appends positions, by each layer's policy. */
function append(
  memory: RingMemory,
  { slot, first, count, policies, seed = 0 }: {
    slot: number;
    first: number;
    count: number;
    policies: readonly SinkWindow[];
    seed?: number;
  },
): void {
  const places = (layer: number) =>
    Array.from({ length: count }, (_, t) => policies[layer]!.place(first + t));
  const rows = graphRows({ first, count, layers: policies.length, seed });
  memory.write(slot, { first, places }, rows);
}

/** Position whose row lies in a column by definition: the last that was put there; `null` if none was. */
function positionAt(
  column: number,
  tensor: CacheTensor,
  { layout, policy, seen }: {
    layout: SlotLayout;
    policy: SinkWindow;
    seen: number;
  },
): number | null {
  const before = tensor.sinks ? layout.sinkRows : 0;
  if (column < before) {
    return column < Math.min(policy.sinks, seen) ? column : null;
  }
  const inRing = column - before +
    (tensor.block === 1 ? layout.blocks[0]! : 0);
  for (let position = seen - 1; position >= policy.sinks; position--) {
    const there = tensor.tail
      ? position % layout.tailRows === column - before
      : (position - policy.sinks) % policy.window === inRing;
    if (there) return position;
  }
  return null;
}

function checkSlot(
  memory: RingMemory,
  { slot, seen, policies, seed }: {
    slot: number;
    seen: number;
    policies: readonly SinkWindow[];
    seed: number;
  },
): void {
  for (const [layer, { layout }] of memory.layers.entries()) {
    for (const tensor of TENSORS) {
      const { data, dims } = viewOf(memory, tensor, { layer, slot });
      const { rows, heads, width, encoded, byRow } = tensor;
      const tokens = tensorTokens(tensor, layout);
      const lines = byRow ? [tokens, width] : [width, tokens];
      assertEquals(dims, [1, heads, 1, ...lines]);
      assertEquals(data.length, heads * width * tokens);
      const source = ROWS.find((row) => row.rows === rows)!;
      for (let column = 0; column < tokens; column++) {
        const of = { layout, policy: policies[layer]!, seen };
        const position = positionAt(column, tensor, of);
        for (let head = 0; head < heads; head++) {
          const row = position === null
            ? new Float32Array(source.width)
            : tokenRow(source, { position, layer, head, seed });
          const kept = encoded
            ? encoded.codec.encode(row, source.width)[encoded.part]!
            : row;
          const found = Array.from(
            { length: width },
            (_, i) =>
              byRow
                ? data[(head * tokens + column) * width + i]!
                : data[(head * width + i) * tokens + column]!,
          );
          assertEquals(found, [...kept], `${tensor.name} of ${position}`);
        }
      }
    }
  }
}

const layouts = fc.record({
  sinkRows: fc.integer({ min: 1, max: 3 }),
  tailRows: fc.integer({ min: 1, max: 5 }),
  blocks: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(5)),
});

Deno.test("ring memory: a token's rows lie where the views say, whatever each layer has room for", () => {
  fc.assert(
    fc.property(
      fc.array(layouts, { minLength: LAYERS, maxLength: LAYERS }),
      fc.nat(3),
      fc.array(fc.integer({ min: 1, max: 6 }), {
        minLength: 1,
        maxLength: 9,
      }),
      fc.nat(SLOTS - 1),
      (layouts, sinks, sizes, slot) => {
        const memory = new RingMemory(layersOf(layouts), SLOTS);
        const policies = layouts.map((layout) =>
          new SinkWindow(
            Math.min(sinks, ...layouts.map(({ sinkRows }) => sinkRows)),
            windowRows(layout),
          )
        );
        let seen = 0;
        for (const count of sizes) {
          append(memory, { slot, first: seen, count, policies });
          seen += count;
        }
        checkSlot(memory, { slot, seen, policies, seed: 0 });
        for (let other = 0; other < SLOTS; other++) {
          if (other === slot) continue;
          checkSlot(memory, { slot: other, seen: 0, policies, seed: 0 });
        }
        // What is in use of it is copied, and is the same in another slot, bit for bit.
        const used = policies.map(({ sinks, window }) =>
          Math.max(0, Math.min(window, seen - sinks))
        );
        const copy = memory.copy(slot, (layer) => used[layer]!);
        const before = contents(memory, slot).map((data) => data.slice());
        for (const data of contents(memory, slot)) data.fill(9);
        const target = (slot + 1) % SLOTS;
        memory.paste(target, copy);
        assertEquals(contents(memory, target), before);
        assert(
          contents(memory, slot).every((data) => data.every((x) => x === 9)),
        );
        // It goes on from there.
        append(memory, { slot: target, first: seen, count: 2, policies });
        const goneOn = { slot: target, seen: seen + 2, policies, seed: 0 };
        checkSlot(memory, goneOn);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("ring memory: bytes are what a conversation's bytes are said to be, for ever", () => {
  const memory = new RingMemory(layersOf(), SLOTS);
  const expected = conversationBytes(layersOf());
  assertEquals([memory.slotBytes, memory.bytes], [expected, SLOTS * expected]);
  const buffers = () => contents(memory, 0).map(({ buffer }) => buffer);
  const before = buffers();
  const held = before.reduce((sum, { byteLength }) => sum + byteLength, 0);
  assertEquals(held, SLOTS * expected);
  const policies = Array(LAYERS).fill(new SinkWindow(2, 5));
  for (let p = 0; p < 100; p++) {
    append(memory, { slot: p % SLOTS, first: p, count: 1, policies });
  }
  assert(buffers().every((buffer, i) => buffer === before[i]));
  assertEquals(memory.bytes, SLOTS * expected);
});

Deno.test("ring memory: slots lie side by side and share no memory", () => {
  const memory = new RingMemory(layersOf(), SLOTS);
  const layer = 1;
  for (let slot = 0; slot < SLOTS; slot++) {
    for (const tensor of TENSORS) {
      viewOf(memory, tensor, { layer, slot }).data.fill(slot + 1);
    }
  }
  for (const tensor of TENSORS) {
    const { data, dims } = viewOf(memory, tensor, { layer, slot: 1, count: 3 });
    assertEquals(dims[0], 3);
    const slots = [1, 2, 3].map((slot) =>
      viewOf(memory, tensor, { layer, slot }).data
    );
    assertEquals([...data], slots.flatMap((values) => [...values]));
    for (let slot = 0; slot < SLOTS; slot++) {
      const own = viewOf(memory, tensor, { layer, slot }).data;
      assert(own.every((value) => value === slot + 1));
      const other = viewOf(memory, tensor, { slot }).data;
      assert(other.every((value) => value === 0));
    }
  }
});

Deno.test("ring memory: of a block that is not in use one row of zeros is seen", () => {
  const memory = new RingMemory(layersOf(), SLOTS);
  const of = { slot: 1, count: 2 };
  for (const tensor of TENSORS) {
    viewOf(memory, tensor, of).data.fill(7);
    const used = usedLayout(LAYOUT, 2);
    const { data, dims } = viewOf(memory, tensor, { ...of, used });
    const tokens = (tensor.sinks ? 2 : 0) + (tensor.tail ? 2 : 0) +
      (tensor.block === 0 ? 2 : tensor.block === 1 ? 1 : 0);
    const { heads, width, byRow } = tensor;
    const lines = byRow ? [tokens, width] : [width, tokens];
    assertEquals(dims, [2, heads, 1, ...lines]);
    assertEquals(data.length, dims.reduce((a, b) => a * b));
    assert(data.every((x) => x === (tensor.block === 1 ? 0 : 7)), tensor.name);
  }
});

Deno.test("ring memory: a copy holds the sinks, the tail and what is in use of the ring, and no more", () => {
  const policies = Array(LAYERS).fill(new SinkWindow(2, 5));
  for (const used of [0, 1, 2, 3, 4, 5]) {
    const memory = new RingMemory(layersOf(), SLOTS);
    append(memory, { slot: 1, first: 0, count: 2 + used, policies });
    const copy = memory.copy(1, () => used);
    const bytes = TENSORS.map(({ type, sinks, tail, block, heads, width }) => {
      const ring = block === null
        ? 0
        : block === 0
        ? Math.min(used, 2)
        : Math.max(0, used - 2);
      return ROW_TYPE_BYTES[type] * heads * width *
        ((sinks ? 2 : 0) + (tail ? 2 : 0) + ring);
    });
    assertEquals(copy.bytes, LAYERS * bytes.reduce((a, b) => a + b));
    // What happens in the slot later is no concern of the copy's.
    const before = contents(memory, 1).map((data) => data.slice());
    append(memory, { slot: 1, first: 2 + used, count: 5, policies, seed: 50 });
    memory.paste(3, copy);
    assertEquals(contents(memory, 3), before);
  }
});

Deno.test("ring memory: a copy of another layout is refused, and the slot is as it was", () => {
  const memory = new RingMemory(layersOf(), SLOTS);
  const policies = Array(LAYERS).fill(new SinkWindow(2, 5));
  append(memory, { slot: 0, first: 0, count: 9, policies });
  const before = contents(memory, 0).map((data) => data.slice());
  for (
    const [change, message] of [
      [{ tailRows: 3 }, "layer 2 has 2 + 5 rows and a tail of 3"],
      [{ sinkRows: 1 }, "layer 2 has 1 + 5 rows and a tail of 2"],
      [{ blocks: [3, 2] }, "layer 2 has 2 + 5 rows"],
    ] as const
  ) {
    const other = new RingMemory(
      layersOf([LAYOUT, LAYOUT, { ...LAYOUT, ...change }]),
      1,
    );
    for (const data of contents(other, 0)) data.fill(5);
    const copy = other.copy(0, () => 1);
    assertThrows(() => memory.paste(0, copy), RangeError, message);
    assertEquals(contents(memory, 0), before);
  }
});

for (const bits of KV_BITS) {
  Deno.test(`ring memory: after 10,000 evictions it holds what a fresh one of the same rows holds: ${bits} bits`, () => {
    const shape = { layers: 2, heads: 4, kvHeads: 2, headDim: 16 };
    const attention = new GroupedQueryAttention(shape, {
      blocks: 2,
      formats: rowFormats(bits, { sensitive: [1] }),
      tailRows: 16,
    });
    const { tailRows } = attention;
    const policy = new SinkWindow(4, 50);
    const layout = { sinkRows: 4, tailRows, blocks: [20, 30] };
    const layers = layerCaches({ shape, attention }, layout);
    const names = ["keys", "values"];
    const perToken = shape.layers * shape.kvHeads * shape.headDim;
    /** A value that is the same whenever it is asked for. */
    const valueAt = (position: number, i: number) =>
      Math.fround(Math.sin(position * 12.9898 + i * 78.233) * 43758.5453 % 3);
    const write = (memory: RingMemory, first: number, count: number) => {
      const rows = Object.fromEntries(names.map((name, n) => {
        const values = new Float32Array(count * perToken);
        for (let at = 0; at < values.length; at++) {
          const line = Math.floor(at / shape.headDim); // [layer and head, token]
          const [head, t] = [Math.floor(line / count), line % count];
          const i = head * shape.headDim + at % shape.headDim + n * 1000;
          values[at] = valueAt(first + t, i);
        }
        return [name, values];
      }));
      const places = Array.from(
        { length: count },
        (_, t) => policy.place(first + t),
      );
      memory.write(1, { first, places: () => places }, rows);
    };
    const end = policy.capacity + 10_000;
    const streamed = new RingMemory(layers, 2);
    for (let at = 0, step = 0; at < end; step++) {
      const count = Math.min(end - at, 1 + (step * 7) % 16);
      write(streamed, at, count);
      at += count;
    }
    const fresh = new RingMemory(layers, 2);
    write(fresh, 0, policy.sinks);
    for (let at = end - policy.window; at < end; at++) write(fresh, at, 1);
    const [found, expected] = [contents(streamed, 1), contents(fresh, 1)];
    assertEquals(found, expected);
    assert(found.every((data) => data.some((value) => value !== 0)));
  });
}
