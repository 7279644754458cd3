import { assert, assertEquals } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import { feedForward } from "../../lib/graph/feed_forward.ts";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { type LinearLowering, loweredBlocks } from "../../lib/graph/linear.ts";
import type { Matrix } from "../../lib/graph/matrix.ts";
import { type GraphProto, ModelProtoSchema } from "../../lib/graph/onnx_pb.ts";
import { dequantize } from "../../lib/weights/dequantize.ts";
import type { GgmlTypeName } from "../../lib/weights/ggml_types.ts";
import { mulberry32 } from "../reference/small_model.ts";
import { farBlocks, normalBlocks } from "../weights/normal_blocks.ts";
import { randomBlocks } from "../weights/random_blocks.ts";
import { MemoryWeights, runGraph } from "./tiny_graph.ts";

const HIDDEN = 256;
const INNER = 512;
const TOKENS = 3;
const DISPATCHES: LinearLowering = { kind: "dispatches" };
const random = mulberry32(5);

/** `near` and `far`: Q4_1 whose offsets a grid of 8 bits can hold, and cannot. */
type Kind = Exclude<GgmlTypeName, "Q4_1"> | "near" | "far";

interface Weights {
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
}

function matrix(kind: Kind, rows: number, cols: number): Matrix {
  const count = rows * cols;
  if (kind === "near" || kind === "far") {
    const bytes = (kind === "near" ? normalBlocks : farBlocks)(count, random);
    return { type: "Q4_1", rows, cols, bytes, factor: 1 };
  }
  // Products of order 1: SiLU is neither 0 nor the identity there.
  const exponents = kind === "Q8_0" ? [5, 6] : [8, 9];
  const bytes = randomBlocks(kind, count, {
    random,
    exponents: exponents as [number, number],
  });
  return { type: kind, rows, cols, bytes, factor: 0.5 };
}

function weightsOf(gate: Kind, up: Kind, down: Kind = "Q8_0"): Weights {
  return {
    gate: matrix(gate, INNER, HIDDEN),
    up: matrix(up, INNER, HIDDEN),
    down: matrix(down, HIDDEN, INNER),
  };
}

/** `x · matrixᵀ` in f64. */
function product(x: Float64Array, matrix: Matrix): Float64Array {
  const { type, rows, cols, bytes, factor } = matrix;
  const weights = dequantize(type, bytes, rows * cols);
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += x[c]! * weights[row * cols + c]!;
    return sum * factor;
  });
}

/** down(silu(gate(x)) · up(x)) by definition. */
function expected(x: Float64Array, { gate, up, down }: Weights): Float64Array {
  const other = product(x, up);
  const gated = product(x, gate).map((value, i) =>
    value / (1 + Math.exp(-value)) * other[i]!
  );
  return product(gated, down);
}

const CPU: Record<string, [LinearLowering, Weights, tolerance: number]> = {
  "of f32": [{ kind: "dense" }, weightsOf("F32", "F32", "F32"), 1e-5],
  "of blocks": [
    { kind: "blocks", accuracyLevel: 0 },
    weightsOf("Q4_0", "Q4_0"),
    1e-5,
  ],
  "of blocks with offsets": [
    { kind: "blocks", accuracyLevel: 0 },
    weightsOf("near", "far", "near"),
    1e-5,
  ],
  "of two kinds of blocks": [DISPATCHES, weightsOf("Q8_0", "Q4_0"), 1e-5],
  // Three matrices whose weights are moved by up to 0.0035 of them.
  "of blocks on a grid": [DISPATCHES, weightsOf("near", "Q4_0", "near"), 0.01],
};

for (const [what, [lowering, weights, tolerance]] of Object.entries(CPU)) {
  Deno.test(`a feed-forward network ${what} is down(silu(gate(x)) · up(x))`, async () => {
    const data = Float32Array.from(
      { length: TOKENS * HIDDEN },
      () => random() * 2 - 1,
    );
    const outputs = await runGraph(async (graph) => {
      const x = graph.input("x", "float32", ["tokens", HIDDEN]);
      const y = await feedForward(graph, lowering, x, "y", weights);
      graph.output(y, "float32", ["tokens", HIDDEN]);
    }, { x: { data, dims: [TOKENS, HIDDEN] } });
    const [found] = Object.values(outputs) as [Float32Array];
    assertEquals(found.length, TOKENS * HIDDEN);
    for (let token = 0; token < TOKENS; token++) {
      const at = token * HIDDEN;
      const x = Float64Array.from(data.subarray(at, at + HIDDEN));
      const values = expected(x, weights);
      const [difference, size] = [
        rms(values.map((value, i) => value - found[at + i]!)),
        rms(values),
      ];
      assert(size > 0.01, "outputs of some size");
      assert(
        difference <= tolerance * size,
        `${difference / size} of token ${token}`,
      );
    }
  });
}

function rms(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
}

async function graphOf(
  lowering: LinearLowering,
  weights: Weights,
  written = new MemoryWeights(),
): Promise<GraphProto> {
  const graph = new GraphBuilder("g", written);
  const x = graph.input("x", "float32", ["tokens", HIDDEN]);
  graph.output(
    await feedForward(graph, lowering, x, "y", weights),
    "float32",
    ["tokens", HIDDEN],
  );
  return fromBinary(ModelProtoSchema, graph.finish()).graph!;
}

async function isFused(
  lowering: LinearLowering,
  weights: Weights,
): Promise<boolean> {
  const { node } = await graphOf(lowering, weights);
  const operators = node.map(({ opType }) => opType);
  const fused = operators.filter((name) => name === "MatMulNBitsMlp").length;
  const composed = operators.filter((name) => name === "QuickGelu").length;
  assertEquals(fused + composed, 1);
  return fused === 1;
}

Deno.test("a feed-forward network is fused where gate and up are blocks of one kind without offsets", async () => {
  const found: [gate: Kind, up: Kind][] = [];
  const kinds = ["Q4_0", "near", "far", "Q8_0", "Q6_K", "F32"] as const;
  for (const gate of kinds) {
    for (const up of kinds) {
      if (await isFused(DISPATCHES, weightsOf(gate, up))) {
        found.push([gate, up]);
      }
    }
  }
  assertEquals(found, [
    ["Q4_0", "Q4_0"],
    ["near", "near"], // 8 bits on their grid
    ["near", "Q8_0"],
    ["Q8_0", "near"],
    ["Q8_0", "Q8_0"],
    ["Q6_K", "Q6_K"], // 8 bits too, but blocks of 16
  ]);
});

Deno.test("a feed-forward network is fused whatever its last matrix is, and for dispatches' sake alone", async () => {
  for (const down of ["Q4_0", "far", "F32"] as const) {
    assert(await isFused(DISPATCHES, weightsOf("Q8_0", "Q8_0", down)));
  }
  for (const accuracyLevel of [0, 4] as const) {
    const lowering = { kind: "blocks", accuracyLevel } as const;
    assertEquals(await isFused(lowering, weightsOf("Q8_0", "Q8_0")), false);
  }
  const dense = { kind: "dense" } as const;
  assertEquals(await isFused(dense, weightsOf("Q8_0", "Q8_0")), false);
});

Deno.test("a fused feed-forward network is told its sizes, and given gate before up", async () => {
  for (
    const [kind, bits, blockSize] of [
      ["Q4_0", 4, 32],
      ["near", 8, 32],
      ["Q6_K", 8, 16],
    ] as const
  ) {
    const weights = weightsOf(kind, kind);
    const written = new MemoryWeights();
    const graph = await graphOf(DISPATCHES, weights, written);
    assertEquals(graph.node.map(({ opType }) => opType), [
      "MatMulNBitsMlp",
      "MatMulNBits",
    ]);
    const [node, down] = graph.node;
    assertEquals(node!.domain, "com.microsoft");
    assertEquals(node!.input, [
      "x",
      "",
      "",
      "y.gated.gate.q",
      "y.gated.gate.scale",
      "",
      "y.gated.up.q",
      "y.gated.up.scale",
      "",
    ]);
    assertEquals(down!.input[0], node!.output[0]);
    const attributes = Object.fromEntries(
      node!.attribute.map(({ name, i, s }) => [
        name,
        name === "activation" ? new TextDecoder().decode(s) : Number(i),
      ]),
    );
    assertEquals(attributes, {
      K: HIDDEN,
      N: INNER,
      bits,
      block_size: blockSize,
      accuracy_level: 0,
      activation: "silu",
    });
    const blocks = HIDDEN / blockSize;
    const dims = Object.fromEntries(
      graph.initializer.map(({ name, dims }) => [name, dims.map(Number)]),
    );
    for (const part of ["gate", "up"] as const) {
      assertEquals(dims[`y.gated.${part}.q`], [
        INNER,
        blocks,
        blockSize * bits / 8,
      ]);
      assertEquals(dims[`y.gated.${part}.scale`], [INNER * blocks]);
      const { q, scale } = loweredBlocks(DISPATCHES, weights[part])!;
      const holds = (name: string, { buffer }: Uint8Array | Float32Array) => {
        const found = externalBytes(graph, name, written);
        const expected = new Uint8Array(buffer);
        assertEquals(found.length, expected.length);
        assert(found.every((byte, i) => byte === expected[i]), name);
      };
      holds(`y.gated.${part}.q`, q);
      holds(`y.gated.${part}.scale`, scale);
    }
  }
});

/** A weight's bytes in the file. */
function externalBytes(
  { initializer }: GraphProto,
  name: string,
  { parts }: MemoryWeights,
): Uint8Array {
  const { externalData } = initializer.find((tensor) => tensor.name === name)!;
  const number = (key: string) =>
    Number(externalData.find((entry) => entry.key === key)!.value);
  const all = Uint8Array.from(parts.flatMap((part) => [...part]));
  return all.slice(number("offset"), number("offset") + number("length"));
}
