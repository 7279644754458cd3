import { assert, assertEquals } from "@std/assert";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { linear, type LinearLowering } from "../../lib/graph/linear.ts";
import { type Matrix, reorderRows } from "../../lib/graph/matrix.ts";
import { dequantize } from "../../lib/weights/dequantize.ts";
import {
  GGML_TYPE_NAMES,
  type GgmlTypeName,
} from "../../lib/weights/ggml_types.ts";
import { mulberry32 } from "../reference/small_model.ts";
import { randomBlocks } from "../weights/random_blocks.ts";
import { MemoryWeights, runGraph } from "./tiny_graph.ts";

const COLS = 256;
const TOKENS = 3;
const BLOCKS: LinearLowering = { kind: "blocks", accuracyLevel: 0 };
const DENSE: LinearLowering = { kind: "dense" };
const random = mulberry32(11);
const INPUT = Float32Array.from(
  { length: TOKENS * COLS },
  () => random() * 2 - 1,
);

function matrix(type: GgmlTypeName, rows: number, factor = 1): Matrix {
  const bytes = randomBlocks(type, rows * COLS, { random, exponents: [9, 11] });
  return { type, rows, cols: COLS, bytes, factor };
}

/** `INPUT · matrixᵀ` in f64, and the sum of its terms' sizes, which rounding grows with. */
function expected(
  { type, rows, bytes, factor }: Matrix,
): { value: number; size: number }[] {
  const weights = dequantize(type, bytes, rows * COLS);
  return Array.from({ length: TOKENS * rows }, (_, i) => {
    const [token, row] = [Math.floor(i / rows), i % rows];
    let [value, size] = [0, 0];
    for (let c = 0; c < COLS; c++) {
      const term = INPUT[token * COLS + c]! * weights[row * COLS + c]! * factor;
      value += term;
      size += Math.abs(term);
    }
    return { value, size };
  });
}

/** Runs the product of one input with several matrices and compares each one's part. */
async function check(
  lowering: LinearLowering,
  matrices: Record<string, Matrix>,
): Promise<void> {
  const parts = Object.values(matrices);
  const width = parts.reduce((sum, { rows }) => sum + rows, 0);
  const outputs = await runGraph(async (graph) => {
    const x = graph.input("x", "float32", ["tokens", COLS]);
    const y = await linear(graph, lowering, x, "y", parts);
    graph.output(y, "float32", ["tokens", width]);
  }, { x: { data: INPUT, dims: [TOKENS, COLS] } });
  const actual = outputs.y!;
  assertEquals(actual.length, TOKENS * width);
  let before = 0; // rows of the matrices before this one
  for (const [name, matrix] of Object.entries(matrices)) {
    const label = `${lowering.kind}, ${name} (${matrix.type})`;
    for (const [i, { value, size }] of expected(matrix).entries()) {
      const [token, row] = [Math.floor(i / matrix.rows), i % matrix.rows];
      const found = actual[token * width + before + row]!;
      assert(
        Math.abs(found - value) <= size * 1e-5,
        `${label}[${i}]: ${found} instead of ${value}`,
      );
    }
    before += matrix.rows;
  }
}

for (const lowering of [BLOCKS, DENSE]) {
  Deno.test(`${lowering.kind} products are right for every type`, async () => {
    for (const type of GGML_TYPE_NAMES) {
      await check(lowering, { [type]: matrix(type, 5) });
    }
  });

  Deno.test(`${lowering.kind} products of one input, joined where alike, keep their order`, async () => {
    await check(lowering, {
      a: matrix("Q4_1", 4),
      b: matrix("Q4_1", 7, 0.25),
      c: matrix("Q6_K", 3),
      d: matrix("Q4_K", 2), // alike a and b, but not beside them
      e: matrix("F32", 6),
      f: matrix("F16", 1, -2),
      g: matrix("Q4_0", 5),
    });
  });
}

Deno.test("matrices that are alike and side by side become one product", async () => {
  const count = async (
    types: GgmlTypeName[],
    lowering: LinearLowering = BLOCKS,
  ) => {
    const graph = new GraphBuilder("g", new MemoryWeights());
    const x = graph.input("x", "float32", ["tokens", COLS]);
    await linear(graph, lowering, x, "y", types.map((t) => matrix(t, 4)));
    return graph.nodeCount;
  };
  assertEquals(await count(["Q8_0"]), 1); // MatMulNBits
  assertEquals(await count(["Q8_0", "Q8_0"]), 1);
  assertEquals(await count(["Q8_0", "F32"]), 3); // two products and Concat
  // The sums of blocks (2 nodes) are shared: product and Gemm for each kind, and Concat.
  assertEquals(await count(["Q4_1", "Q5_K"]), 7);
  assertEquals(await count(["Q4_1", "F32"], DENSE), 1);
});

Deno.test("reordered rows are the same rows in another order", async () => {
  const source = matrix("Q4_K", 4);
  const order = [2, 0, 3, 1];
  const turned = reorderRows(source, order);
  await check(BLOCKS, { turned });
  const rowsOf = ({ bytes }: Matrix) => dequantize("Q4_K", bytes, 4 * COLS);
  const [before, after] = [rowsOf(source), rowsOf(turned)];
  for (const [i, from] of order.entries()) {
    assertEquals(
      after.subarray(i * COLS, (i + 1) * COLS),
      before.subarray(from * COLS, (from + 1) * COLS),
    );
  }
});

Deno.test("a single product has the name that was asked for", async () => {
  for (const type of ["Q4_1", "Q8_0", "F32"] as const) {
    const graph = new GraphBuilder("g", new MemoryWeights());
    const x = graph.input("x", "float32", ["tokens", COLS]);
    assertEquals(
      await linear(graph, BLOCKS, x, "logits", [matrix(type, 2)]),
      "logits",
    );
  }
});
