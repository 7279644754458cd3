import { assertEquals, assertRejects } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import { float, GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { ModelProtoSchema } from "../../lib/graph/onnx_pb.ts";
import { MemoryWeights, runGraph } from "./tiny_graph.ts";

Deno.test("a built graph runs: constants, external weights, attributes of each kind, several outputs", async () => {
  const outputs = await runGraph(async (graph) => {
    const x = graph.input("x", "float32", ["n", 3]);
    await graph.weight("unused", Float32Array.of(9, 9, 9, 9, 9), [5]); // the next one is not first
    const w = await graph.weight("w", Float32Array.of(1, 2, 3, 4, 5, 6), [
      3,
      2,
    ]);
    const product = graph.node("MatMul", "product", [x, w]);
    const leaky = graph.node("LeakyRelu", "leaky", [product], {
      attributes: { alpha: float(0.5) },
    });
    const turned = graph.node("Transpose", "turned", [leaky], {
      attributes: { perm: [1, 0] },
    });
    const sizes = graph.int64("sizes", [1, 1]);
    graph.nodes("Split", ["top", "bottom"], [turned, sizes], {
      attributes: { axis: 0 },
    });
    const one = graph.constant("one", Float32Array.of(1));
    graph.node("Add", "more", ["bottom", one]);
    graph.output("top", "float32", [1, "n"]);
    graph.output("more", "float32", [1, "n"]);
  }, { x: { data: Float32Array.of(1, 1, 1, -1, -1, -1), dims: [2, 3] } });
  assertEquals([...outputs.top!], [9, -4.5]);
  assertEquals([...outputs.more!], [13, -5]);
});

Deno.test("of two ways a run takes the one that its condition says; each may give several values", async () => {
  const run = (x: number) =>
    runGraph((graph) => {
      graph.input("x", "float32", [1]);
      const zero = graph.constant("zero", Float32Array.of(0));
      const positive = graph.node("Greater", "positive", ["x", zero]);
      graph.either(["size", "sign"], positive, {
        then: () => [
          graph.node("Identity", "same", ["x"]),
          graph.node("Exp", "one", [zero]),
        ],
        otherwise: () => [
          graph.node("Neg", "opposite", ["x"]),
          graph.node("Identity", "nothing", [zero]),
        ],
      });
      graph.output("size", "float32", [1]);
      graph.output("sign", "float32", [1]);
      return Promise.resolve();
    }, { x: { data: Float32Array.of(x), dims: [1] } });
  const [more, less] = [await run(3), await run(-4)];
  assertEquals([...more.size!, ...more.sign!], [3, 1]);
  assertEquals([...less.size!, ...less.sign!], [4, 0]);
});

Deno.test("a constant of the same name is written once, a view of a larger buffer only as it is", async () => {
  const weights = new MemoryWeights();
  const graph = new GraphBuilder("g", weights);
  graph.constant("c", Float32Array.of(1, 2, 3, 4).subarray(1, 3));
  graph.constant("c", Float32Array.of(1, 2, 3, 4).subarray(1, 3));
  await graph.weight("w", Float32Array.of(5, 6, 7).subarray(1), [2]);
  const model = fromBinary(ModelProtoSchema, graph.finish());
  const [constant, weight] = model.graph!.initializer;
  assertEquals(model.graph!.initializer.length, 2);
  assertEquals([...new Float32Array(constant!.rawData.slice().buffer)], [2, 3]);
  assertEquals([...new Float32Array(weights.parts.at(-1)!.slice().buffer)], [
    6,
    7,
  ]);
  assertEquals(weight!.externalData.map(({ key, value }) => [key, value]), [
    ["location", "weights.bin"],
    ["offset", "0"],
    ["length", "8"],
  ]);
});

Deno.test("a node that reads what is not there is refused by the engine", async () => {
  await assertRejects(() =>
    runGraph((graph) => {
      graph.node("Neg", "y", ["nowhere"]);
      graph.output("y", "float32", ["n"]);
      return Promise.resolve();
    }, {})
  );
});
