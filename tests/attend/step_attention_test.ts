import { assert, assertEquals } from "@std/assert";
import { attendable, loadKernel } from "../../lib/attend/load_kernel.ts";
import {
  StepAttention,
  type StepLane,
} from "../../lib/attend/step_attention.ts";
import { layerCaches, tensorElements } from "../../lib/cache/layout.ts";
import { RingMemory } from "../../lib/cache/ring_memory.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { NativeSession } from "../../lib/engine/native/native_session.ts";
import { ATTEND, ATTEND_LAYER } from "../../lib/graph/attention/attended.ts";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";

// Four heads of a group are two items of the kernel.
const SHAPE = { heads: 8, kvHeads: 2, headDim: 32, layers: 3 };
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

async function open(): Promise<StepAttention> {
  const attention = new GroupedQueryAttention(SHAPE, {
    blocks: 2,
    formats: rowFormats(8, { products: "attended" }),
    tailRows: LAYOUT.tailRows,
  });
  const layers = layerCaches({ shape: SHAPE, attention }, LAYOUT);
  const steps = new StepAttention({
    kernel: await loadKernel(SHAPE),
    shape: SHAPE,
    layers,
    slots: SLOTS,
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

/** A graph of all layers, whose projections are its inputs. */
function graphOf(): Uint8Array {
  const graph = new GraphBuilder("steps", {
    location: "",
    append: () => Promise.reject(new Error("no weights")),
  });
  for (let layer = 0; layer < SHAPE.layers; layer++) {
    const given = graph.input(`given${layer}`, "float32", ["n"]);
    const attended = graph.node(ATTEND.operator, `attended${layer}`, [given], {
      domain: ATTEND.domain,
      attributes: { [ATTEND_LAYER]: layer },
    });
    graph.output(attended, "float32", ["m"]);
  }
  return graph.finish();
}

/** What some lanes attend to in all layers, with their new rows behind it. */
async function run(
  steps: StepAttention,
  lanes: readonly StepLane[],
  session: NativeSession,
): Promise<number[][]> {
  const rows = steps.begin(lanes);
  const inputs = Object.fromEntries(
    Array.from({ length: SHAPE.layers }, (_, layer) => {
      const given = lanes.map(({ slot }) => [...values(TOKEN, slot + layer)]);
      const data = Float32Array.from(given.flat());
      return [`given${layer}`, session.tensor(data, [data.length])];
    }),
  );
  const sizes = {
    projections: lanes.length * TOKEN,
    attended: lanes.length * ATTENDED,
  };
  const attention = { sizes, attend: steps.attend.bind(steps) };
  const outputs = await session.run(inputs, { attention });
  return lanes.map((_, i) => [
    ...Object.values(outputs).flatMap((all) => [
      ...all.subarray(i * ATTENDED, (i + 1) * ATTENDED),
    ]),
    ...rows[i]!.keys,
    ...rows[i]!.values,
  ]);
}

const ignore = !attendable(SHAPE);
if (ignore) {
  console.warn("step attention: skipped, for the kernel cannot run here");
}

async function withSession(
  threads: number,
  use: (session: NativeSession) => Promise<void>,
): Promise<void> {
  const session = await NativeSession.open(graphOf(), { threads });
  await use(session);
  await session.release();
}

Deno.test({
  name:
    "step attention: gives the same bits on any number of threads, step after step",
  ignore,
  fn: () =>
    withSession(1, (one) =>
      withSession(3, async (three) => {
        const steps = await open();
        const lengths = [0, 3, 9, 64, 65, 200];
        for (let step = 0; step < 100; step++) {
          const lanes = lengths.map((seen, slot) =>
            lane(slot, seen + step % 7)
          );
          const expected = await run(steps, lanes, one);
          assert(expected.flat().every(Number.isFinite));
          assertEquals(await run(steps, lanes, three), expected);
        }
      })),
});

Deno.test({
  name:
    "step attention: gives each conversation its own, whoever is beside it and in whatever order",
  ignore,
  fn: () =>
    withSession(2, async (session) => {
      const steps = await open();
      const lanes = [5, 70, 31, 0].map((seen, slot) => lane(slot + 1, seen));
      const together = await run(steps, lanes, session);
      const reversed = await run(steps, lanes.toReversed(), session);
      assertEquals(reversed.toReversed(), together);
      for (const [i, single] of lanes.entries()) {
        assertEquals(await run(steps, [single], session), [together[i]]);
      }
      const others = new Set(together.map(String));
      assertEquals(others.size, lanes.length);
    }),
});
