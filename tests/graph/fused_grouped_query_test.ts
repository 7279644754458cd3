import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import {
  FUSED_CONTEXT,
  FusedGroupedQueryAttention,
  writtenTensor,
} from "../../lib/graph/attention/fused_grouped_query.ts";
import type { DecoderShape } from "../../lib/graph/decoder_shape.ts";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import {
  type GraphProto,
  ModelProtoSchema,
  type ValueInfoProto,
} from "../../lib/graph/onnx_pb.ts";
import { MemoryWeights } from "./tiny_graph.ts";

const SHAPE = { heads: 6, kvHeads: 2, headDim: 48 } as DecoderShape; // all that it needs of it
const WIDTH = (6 + 2 + 2) * 48;
const TYPES: Record<number, string> = {
  1: "f32",
  6: "i32",
  7: "i64",
  10: "f16",
};

/** A graph of two layers' attention. */
function graphOf(element: "float32" | "float16"): GraphProto {
  const attention = new FusedGroupedQueryAttention(SHAPE, element);
  const graph = new GraphBuilder("g", new MemoryWeights(), element);
  attention.declareInputs(graph);
  for (const layer of [0, 1]) {
    const x = graph.input(`x${layer}`, element, ["all", WIDTH]);
    const { output, rows } = attention.emit(graph, layer, {
      projections: x,
      outputDims: (width) => [-1, width],
    });
    assertEquals(rows, {}); // it writes them itself
    graph.output(output, element, ["all", 6 * 48]);
  }
  return fromBinary(ModelProtoSchema, graph.finish()).graph!;
}

/** Values by name: their type and shape. */
function declared(values: readonly ValueInfoProto[]): Record<string, string> {
  return Object.fromEntries(values.map(({ name, type }) => {
    const { elemType, shape } = type!.tensorType!;
    const dims = shape!.dim.map(({ dimParam, dimValue }) =>
      dimParam === "" ? `${dimValue}` : dimParam
    );
    return [name, `${TYPES[elemType]} [${dims.join(", ")}]`];
  }));
}

for (
  const [element, rows] of [["float32", "f32"], ["float16", "f16"]] as const
) {
  Deno.test(`fused attention over rows of ${rows}: the graph reads and writes whole caches of that type`, () => {
    const graph = graphOf(element);
    const cache = `${rows} [batch, 2, rows, 48]`;
    assertEquals(declared(graph.input), {
      lengths: "i32 [batch]",
      total: "i32 []",
      cos: `${rows} [angles, 24]`,
      sin: `${rows} [angles, 24]`,
      mask: `${rows} [batch, 1, chunk, total]`,
      tokens_shape: "i64 [3]",
      x0: `${rows} [all, ${WIDTH}]`,
      keys_0: cache,
      values_0: cache,
      x1: `${rows} [all, ${WIDTH}]`,
      keys_1: cache,
      values_1: cache,
    });
    assertEquals(declared(graph.output), {
      keys_0_written: cache,
      values_0_written: cache,
      "layer0.attention": `${rows} [all, 288]`,
      keys_1_written: cache,
      values_1_written: cache,
      "layer1.attention": `${rows} [all, 288]`,
    });
  });

  Deno.test(`fused attention over rows of ${rows}: one operator, with caches, lengths, angles and mask where it looks for them`, () => {
    const { node } = graphOf(element);
    const attend = node.filter(({ opType }) =>
      opType === "GroupQueryAttention"
    );
    assertEquals(attend.length, 2);
    for (
      const [layer, { input, output, attribute, domain }] of attend.entries()
    ) {
      assertEquals(domain, "com.microsoft");
      // query (with key and value), key, value, past key, past value, seqlens_k,
      // total_sequence_length, cos_cache, sin_cache, position_ids, attention_bias
      assertEquals(input.slice(1), [
        "",
        "",
        `keys_${layer}`,
        `values_${layer}`,
        FUSED_CONTEXT.lengths,
        FUSED_CONTEXT.total,
        FUSED_CONTEXT.cos,
        FUSED_CONTEXT.sin,
        "",
        FUSED_CONTEXT.mask,
      ]);
      assertEquals(output.slice(1), [
        writtenTensor("keys", layer),
        writtenTensor("values", layer),
      ]);
      const numbers = Object.fromEntries(
        attribute.map(({ name, type, i, f }) => [
          name,
          type === 1 ? `${f} as a float` : Number(i),
        ]),
      );
      assertEquals(numbers, {
        num_heads: 6,
        kv_num_heads: 2,
        do_rotary: 1,
        scale: "1 as a float",
      });
    }
  });
}

Deno.test("fused attention is one operator between two shapes, without a cast, whatever rows are made of", () => {
  for (const floats of ["float32", "float16"] as const) {
    const operators = graphOf(floats).node.map(({ opType }) => opType);
    const layer = ["Reshape", "GroupQueryAttention", "Reshape"];
    assertEquals(operators, [...layer, ...layer]);
  }
});

Deno.test("fused attention keeps keys and values, a row of every head each, sinks before the window", () => {
  const f16 = new FusedGroupedQueryAttention(SHAPE, "float16");
  const f32 = new FusedGroupedQueryAttention(SHAPE, "float32");
  const lines = { heads: 2, width: 48, byRow: true };
  const row = { ...lines, sinks: true, tail: false, block: 0 };
  for (const [kind, type] of [[f16, "float16"], [f32, "float32"]] as const) {
    assertEquals(kind.tensors(), [
      { name: "keys", rows: "keys", type, ...row },
      { name: "values", rows: "values", type, ...row },
    ]);
  }
  assertNotEquals(f32.name, f16.name);
});

Deno.test("fused attention refuses heads that the operator does not take", () => {
  for (const headDim of [8, 24, 63, 72]) {
    assertThrows(
      () => new FusedGroupedQueryAttention({ ...SHAPE, headDim }, "float32"),
      TypeError,
      `Cannot attend with heads of ${headDim} values on a GPU: a multiple of 16 is needed; ` +
        "use EVERSTREAM_ENGINE=native or wasm",
    );
  }
});
