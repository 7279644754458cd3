import { assert, assertEquals, assertThrows } from "@std/assert";
import { assembleKernel } from "../../lib/attend/assemble.ts";
import {
  StepAttention,
  type StepLane,
} from "../../lib/attend/step_attention.ts";
import { layerCaches, tensorElements } from "../../lib/cache/layout.ts";
import { RingMemory } from "../../lib/cache/ring_memory.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";

// Five heads of a group are two passes of the kernel.
const SHAPE = { heads: 10, kvHeads: 2, headDim: 32, layers: 3 };
const LAYOUT = { sinkRows: 4, tailRows: 5, blocks: [20, 41] };
const SLOTS = 6;
const TOKEN = (SHAPE.heads + 2 * SHAPE.kvHeads) * SHAPE.headDim;
const ATTENDED = SHAPE.heads * SHAPE.headDim;

function values(count: number, seed: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => Math.sin(seed + 1.7 * i) + Math.cos(seed * i),
  );
}

async function open(threads: number) {
  const attention = new GroupedQueryAttention(SHAPE, {
    blocks: 2,
    formats: rowFormats(8, { products: "attended" }),
    tailRows: LAYOUT.tailRows,
  });
  const layers = layerCaches({ shape: SHAPE, attention }, LAYOUT);
  const steps = new StepAttention({
    kernel: await assembleKernel(SHAPE),
    shape: SHAPE,
    layers,
    slots: SLOTS,
    threads,
  });
  const memory = new RingMemory(layers, SLOTS, (l) => steps.rowsOf(l));
  for (const [l, layer] of layers.entries()) {
    for (const [t, tensor] of layer.tensors.entries()) {
      const elements = SLOTS * tensorElements(tensor, LAYOUT);
      const rows = memory.layers[l]!.view(t, { first: 0, count: SLOTS });
      assertEquals(rows.length, elements);
      const size = tensor.type === "int8" ? 60 : 0.05;
      rows.set(values(elements, l * 10 + t).map((x) => x * size));
    }
  }
  return steps;
}

function lane(slot: number, seen: number): StepLane {
  const policy = new SinkWindow(4, 61);
  const of = { stored: seen, tailRows: LAYOUT.tailRows, boundaries: [] };
  return {
    slot,
    seen: policy.seenRows(seen, of),
    angles: values(2 * SHAPE.headDim, seen),
  };
}

/** What some lanes attend to in all layers. */
function run(steps: StepAttention, lanes: readonly StepLane[]): number[] {
  steps.begin(lanes);
  return Array.from({ length: SHAPE.layers }, (_, layer) => {
    const attended = new Float32Array(lanes.length * ATTENDED);
    const projections = new Float32Array(lanes.length * TOKEN);
    for (const [i, { slot }] of lanes.entries()) {
      projections.set(values(TOKEN, slot + layer), i * TOKEN);
    }
    steps.attend(layer, projections, attended);
    return [...attended, ...steps.keys(layer)];
  }).flat();
}

Deno.test("step attention: gives the same bits on any number of threads, step after step", async () => {
  const one = await open(1);
  const three = await open(3);
  const lengths = [0, 3, 9, 64, 65, 200];
  for (let step = 0; step < 200; step++) {
    const lanes = lengths.map((seen, slot) => lane(slot, seen + step % 7));
    const expected = run(one, lanes);
    assert(expected.every(Number.isFinite));
    assertEquals(run(three, lanes), expected);
  }
  await three.release();
  await one.release();
});

Deno.test("step attention: gives each conversation its own, whoever is beside it and in whatever order", async () => {
  const steps = await open(2);
  const lanes = [5, 70, 31, 0].map((seen, slot) => lane(slot + 1, seen));
  const together = run(steps, lanes);
  const size = (ATTENDED + SHAPE.kvHeads * SHAPE.headDim) * lanes.length;
  for (const [i, single] of lanes.entries()) {
    const alone = run(steps, [single]);
    const reversed = run(steps, lanes.toReversed());
    for (let layer = 0; layer < SHAPE.layers; layer++) {
      const own = alone.slice(layer * size / lanes.length).slice(0, ATTENDED);
      const at = (all: number[], place: number) =>
        all.slice(layer * size + place * ATTENDED).slice(0, ATTENDED);
      assertEquals(at(together, i), own);
      assertEquals(at(reversed, lanes.length - 1 - i), own);
    }
  }
  await steps.release();
});

Deno.test("step attention: a thread that fails fails the layer, and the next one works", async () => {
  for (const threads of [1, 2]) {
    const steps = await open(threads);
    const good = [lane(0, 40), lane(1, 50)];
    const expected = run(steps, good);
    const beyond = { ...lane(1, 50), slot: 1 << 20 }; // where no memory is
    assertThrows(() => run(steps, [lane(0, 40), beyond, beyond]));
    assertThrows(() => run(steps, [beyond, lane(0, 40)]));
    assertEquals(run(steps, good), expected);
    await steps.release();
  }
});
