import { assertEquals, assertRejects } from "@std/assert";
import type { RunAttention } from "../../lib/engine/engine.ts";
import { NativeSession } from "../../lib/engine/native/native_session.ts";
import { ATTEND, ATTEND_LAYER } from "../../lib/graph/attention/attended.ts";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";

/** Two layers that attend, one behind the other: `y = attend₁(attend₀(x)) + 1`. */
function model(): Uint8Array {
  const graph = new GraphBuilder("attends", {
    location: "",
    append: () => Promise.reject(new Error("no weights")),
  });
  let x = graph.input("x", "float32", ["n"]);
  for (const layer of [0, 1]) {
    x = graph.node(ATTEND.operator, `attended${layer}`, [x], {
      domain: ATTEND.domain,
      attributes: { [ATTEND_LAYER]: layer },
    });
  }
  const one = graph.constant("one", Float32Array.of(1));
  graph.output(graph.node("Add", "y", [x, one]), "float32", ["n"]);
  return graph.finish();
}

function times(...factors: number[]): RunAttention {
  return {
    sizes: { projections: 3, attended: 3 },
    attend: ({ layer, projections, attended }) =>
      attended.set(projections.map((x) => x * factors[layer]!)),
  };
}

async function open() {
  const session = await NativeSession.open(model(), { threads: 1 });
  const x = session.tensor(Float32Array.of(1, 2, 3), [3]);
  return {
    session,
    run: (attention?: RunAttention) =>
      session.run({ x }, attention ? { attention } : {}),
  };
}

Deno.test("native session: nodes ask for attention, layer by layer, run by run", async () => {
  const { session, run } = await open();
  assertEquals((await run(times(10, 2))).y, Float32Array.of(21, 41, 61));
  assertEquals((await run(times(-1, 1))).y, Float32Array.of(0, -1, -2));
  await session.release();
});

Deno.test("native session: what attention throws, the run throws, and the next one works", async () => {
  const { session, run } = await open();
  const thrown = new RangeError("on purpose");
  const failing: RunAttention = {
    ...times(1, 1),
    attend({ layer }) {
      if (layer === 1) throw thrown;
    },
  };
  const error = await assertRejects(() => run(failing), RangeError);
  assertEquals(error, thrown);
  await assertRejects(() => run(), Error, "Nothing was given that attends");
  const larger = { ...times(1, 1), sizes: { projections: 4, attended: 3 } };
  await assertRejects(() => run(larger), Error, "Cannot attend with 3 values");
  assertEquals((await run(times(1, 1))).y, Float32Array.of(2, 3, 4));
  await session.release();
});

Deno.test("native session: gives outputs in memory of their own, or in that which is given", async () => {
  const { session } = await open();
  const input = Float32Array.of(1, 2, 3);
  const x = session.tensor(input, [3]);
  const attention = times(1, 1);
  const { y: first } = await session.run({ x }, { attention });
  input.fill(7); // a change of the memory is seen
  const memory = new Float32Array(3);
  const outputs = { y: session.tensor(memory, [3]) };
  const { y: second } = await session.run({ x }, { attention, outputs });
  assertEquals(first, Float32Array.of(2, 3, 4));
  assertEquals([second, memory], [
    Float32Array.of(8, 8, 8),
    Float32Array.of(8, 8, 8),
  ]);
  await session.release();
});

Deno.test("native session: refuses what the graph does not take, and says so", async () => {
  const { session } = await open();
  const x = session.tensor(BigInt64Array.of(1n), [1]);
  await assertRejects(() => session.run({ x }), Error, "x");
  await session.release();
  await session.release(); // once is enough
  await assertRejects(() => session.run({ x }), Error, "released");
  const none = () => NativeSession.open("/no/such/graph.onnx", { threads: 1 });
  await assertRejects(none, Error, "graph.onnx");
});
