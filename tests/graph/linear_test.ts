import { assert, assertEquals } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import {
  linear,
  type LinearLowering,
  loweredBlocks,
  tokenDims,
} from "../../lib/graph/linear.ts";
import {
  type Matrix,
  matrixBlocks,
  matrixTransposed,
  reorderRows,
} from "../../lib/graph/matrix.ts";
import { dequantize } from "../../lib/weights/dequantize.ts";
import {
  GGML_TYPE_NAMES,
  type GgmlTypeName,
} from "../../lib/weights/ggml_types.ts";
import { ModelProtoSchema } from "../../lib/graph/onnx_pb.ts";
import { toByteGrid } from "../../lib/weights/byte_grid.ts";
import { toSymmetricBlocks } from "../../lib/weights/symmetric_blocks.ts";
import { mulberry32 } from "../reference/small_model.ts";
import { farBlocks, normalBlocks, packQ4_1 } from "../weights/normal_blocks.ts";
import { randomBlocks } from "../weights/random_blocks.ts";
import { MemoryWeights, runGraph } from "./tiny_graph.ts";

const COLS = 256;
const TOKENS = 3;
const BLOCKS: LinearLowering = { kind: "blocks", accuracyLevel: 0 };
const DISPATCHES: LinearLowering = { kind: "dispatches" };
const DENSE: LinearLowering = { kind: "dense" };
const BYTES: LinearLowering = { kind: "bytes" };
const random = mulberry32(11);
const INPUT = Float32Array.from(
  { length: TOKENS * COLS },
  () => random() * 2 - 1,
);

function matrix(type: GgmlTypeName, rows: number, factor = 1): Matrix {
  const bytes = randomBlocks(type, rows * COLS, { random, exponents: [9, 11] });
  return { type, rows, cols: COLS, bytes, factor };
}

/** Q4_1 weights as trained models have them: a grid of 8 bits without offsets can hold them. */
function near(rows: number, factor = 1): Matrix {
  const distinct = normalBlocks(Math.min(rows, 64) * COLS, random);
  const rowBytes = COLS / 32 * 20;
  const bytes = Uint8Array.from(
    { length: rows * rowBytes },
    (_, i) => distinct[i % distinct.length]!,
  );
  return { type: "Q4_1", rows, cols: COLS, bytes, factor };
}

/** Q4_1 weights that it cannot. */
function far(rows: number): Matrix {
  const bytes = farBlocks(rows * COLS, random);
  return { type: "Q4_1", rows, cols: COLS, bytes, factor: 1 };
}

/**
 * `INPUT · matrixᵀ` in f64, the sum of its terms' sizes, which rounding grows with, and by how much
 * it may change where weights are moved by a share of them.
 */
function expected(
  { type, rows, bytes, factor }: Matrix,
  moved: number,
): { value: number; size: number; change: number }[] {
  const weights = dequantize(type, bytes, rows * COLS);
  // No row's weights can be moved by more than all are: |Σ xδ| ≤ |x|·|δ| (Cauchy and Schwarz).
  const change = (token: number) =>
    moved * Math.abs(factor) * norm(weights) *
    norm(INPUT.subarray(token * COLS, (token + 1) * COLS));
  return Array.from({ length: TOKENS * rows }, (_, i) => {
    const [token, row] = [Math.floor(i / rows), i % rows];
    let [value, size] = [0, 0];
    for (let c = 0; c < COLS; c++) {
      const term = INPUT[token * COLS + c]! * weights[row * COLS + c]! * factor;
      value += term;
      size += Math.abs(term);
    }
    return { value, size, change: change(token) };
  });
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
}

/** Error of a matrix's weights where the lowering puts them on a grid; 0 where it does not. */
function movedBy(lowering: LinearLowering, matrix: Matrix): number {
  const blocks = matrixBlocks(matrix);
  if (!blocks) return 0;
  if (lowering.kind === "bytes") return onBytes(matrix) ?? 0;
  if (lowering.kind !== "dispatches") return 0;
  const { error } = toSymmetricBlocks(blocks);
  return loweredBlocks(lowering, matrix)!.offset ? 0 : error;
}

/** Error of a matrix's weights on a grid of bytes; `null` where that is too much. */
function onBytes(matrix: Matrix): number | null {
  const { error } = toByteGrid(matrixTransposed(matrix), matrix.rows);
  return error < 0.02 ? error : null;
}

/**
 * How far an input is off, relative to its root mean square: of bytes by half a step of integers of 14 bits that
 * reach to √COLS; of 8 bits for each block of 32 by half a step of the block's largest value.
 */
function roundedBy(lowering: LinearLowering, matrix: Matrix): number {
  if (lowering.kind !== "bytes" || !matrixBlocks(matrix)) return 0;
  if (onBytes(matrix) !== null) return Math.sqrt(COLS) / (63 * 128) / 2;
  return Math.sqrt(COLS) / 127 / 2;
}

/** The product of one input with several matrices, `[tokens, Σ rows]`. */
async function productOf(
  lowering: LinearLowering,
  parts: readonly Matrix[],
  input = INPUT,
): Promise<Float32Array> {
  const width = parts.reduce((sum, { rows }) => sum + rows, 0);
  const tokens = input.length / COLS;
  const outputs = await runGraph(async (graph) => {
    const x = graph.input("x", "float32", tokenDims(lowering, "tokens", COLS));
    const y = await linear(graph, lowering, x, "y", parts);
    graph.output(y, "float32", tokenDims(lowering, "tokens", width));
  }, { x: { data: input, dims: tokenDims(lowering, tokens, COLS) } });
  assertEquals(outputs.y!.length, tokens * width);
  return outputs.y!;
}

/** Runs the product of one input with several matrices and compares each one's part. */
async function check(
  lowering: LinearLowering,
  matrices: Record<string, Matrix>,
): Promise<void> {
  const actual = await productOf(lowering, Object.values(matrices));
  const width = actual.length / TOKENS;
  let before = 0; // rows of the matrices before this one
  for (const [name, matrix] of Object.entries(matrices)) {
    const label = `${lowering.kind}, ${name} (${matrix.type})`;
    const values = expected(matrix, movedBy(lowering, matrix));
    const rounded = roundedBy(lowering, matrix);
    for (const [i, { value, size, change }] of values.entries()) {
      const [token, row] = [Math.floor(i / matrix.rows), i % matrix.rows];
      const found = actual[token * width + before + row]!;
      assert(
        Math.abs(found - value) <= change + (rounded + 1e-5) * size,
        `${label}[${i}]: ${found} instead of ${value}`,
      );
    }
    before += matrix.rows;
  }
}

for (const lowering of [BLOCKS, DISPATCHES, DENSE, BYTES]) {
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
      near: near(6),
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

Deno.test("small matrices whose offsets a grid can hold are one product, right within what their weights are moved by", async () => {
  const [a, b, c] = [near(6, 0.5), far(5), near(3)];
  assert(movedBy(DISPATCHES, a) > 0.001, "on a grid");
  assertEquals(movedBy(DISPATCHES, b), 0);
  await check(DISPATCHES, { a });
  await check(DISPATCHES, { b, a, c });
});

Deno.test("a grid's product is the one of the weights on it, and that of all others as exact as ever", async () => {
  const moved = near(6);
  const { q, scale, center, blockSize } = loweredBlocks(DISPATCHES, moved)!;
  const weights = Float32Array.from(
    q,
    (level, i) => scale[Math.floor(i / blockSize)]! * (level - center),
  );
  const bytes = new Uint8Array(weights.buffer);
  const onGrid: Matrix = { ...moved, type: "F32", bytes };
  const kept = far(5);
  const found = await productOf(DISPATCHES, [moved, kept]);
  const exact = await productOf(DENSE, [onGrid, kept]);
  for (const [i, value] of exact.entries()) {
    // A tenth of what moving the weights changes.
    assert(Math.abs(found[i]! - value) <= 1e-4, `${found[i]}, not ${value}`);
  }
});

Deno.test("offsets are left out where a matrix is small, unless that moves its weights by 0.0035 of them", async () => {
  const large = 1 << 22;
  const forms: Record<string, [Matrix, bits: number, offsets: boolean]> = {
    small: [near(64), 8, false],
    "almost large": [near(large / COLS - 1), 8, false],
    large: [near(large / COLS), 4, true],
    "far offsets": [far(64), 4, true],
    "without offsets": [matrix("Q4_0", 4), 4, false],
    "of 8 bits": [matrix("Q8_0", 4), 8, false],
  };
  for (const [what, [of, bits, offsets]] of Object.entries(forms)) {
    const lowered = loweredBlocks(DISPATCHES, of)!;
    assertEquals(
      [lowered.bits, lowered.offset !== null],
      [bits, offsets],
      what,
    );
    const kept = loweredBlocks(BLOCKS, of)!;
    assertEquals(kept, matrixBlocks(of)!);
    assertEquals(loweredBlocks(DENSE, of), null);
  }
  assertEquals(loweredBlocks(DISPATCHES, matrix("F16", 4)), null);
  const nodes = async (...matrices: Matrix[]) => {
    const graph = new GraphBuilder("g", new MemoryWeights());
    const x = graph.input("x", "float32", ["tokens", COLS]);
    await linear(graph, DISPATCHES, x, "y", matrices);
    return graph.nodeCount;
  };
  assertEquals(await nodes(near(8), matrix("Q8_0", 2)), 1); // alike now
  assertEquals(await nodes(far(8)), 4); // product, sums of blocks (2), and the offsets' product
});

Deno.test("a product of bytes is the one of the weights on their grid, of tokens rounded to 14 bits, whatever their size", async () => {
  const sizes = [1, 1e-12, 1e6, 0];
  const input = new Float32Array(sizes.length * COLS)
    .map((_, i) => sizes[Math.floor(i / COLS)]! * (random() - 0.3) ** 3);
  const parts = [near(7), matrix("Q8_0", 70, 0.5)];
  const found = await productOf(BYTES, parts, input);
  for (const [token, size] of sizes.entries()) {
    const x = input.subarray(token * COLS, (token + 1) * COLS);
    const rms = norm(x) / Math.sqrt(COLS);
    const step = rms * Math.sqrt(COLS) / (63 * 128);
    let at = token * (7 + 70);
    for (const part of parts) {
      const { rows } = part;
      const { codes, scale, zero } = toByteGrid(matrixTransposed(part), rows);
      for (let r = 0; r < rows; r++, at++) {
        let [value, weights] = [0, 0];
        for (const [c, number] of x.entries()) {
          const weight = scale[r]! * (codes[c * rows + r]! - zero[r]!);
          value += number * weight;
          weights += Math.abs(weight);
        }
        const most = weights * (step / 2 + 1e-6 * rms);
        assert(
          Math.abs(found[at]! - value) <= most,
          `size ${size}, row ${r}: ${found[at]} instead of ${value}, ±${most}`,
        );
      }
    }
  }
});

Deno.test("a token's products of bytes are the same to the last bit, whatever tokens are computed with it", async () => {
  const parts = [near(40), near(30)];
  const together = await productOf(BYTES, parts);
  for (let token = 0; token < TOKENS; token++) {
    const own = INPUT.slice(token * COLS, (token + 1) * COLS);
    const alone = await productOf(BYTES, parts, own);
    assertEquals(together.subarray(token * 70, (token + 1) * 70), alone);
  }
});

Deno.test("matrices stay blocks where a grid of bytes would move their weights by 0.02 of them", async () => {
  const far = matrix("Q4_1", 4);
  const values = new Float32Array(4 * COLS).map(() => random() - 0.5);
  for (let row = 0; row < 4; row++) {
    values.set([50, -50], row * COLS); // two weights far from all others
  }
  far.bytes.set(packQ4_1(values));
  assertEquals(onBytes(far), null);
  const operators = async (of: Matrix) => {
    const graph = new GraphBuilder("g", new MemoryWeights());
    const x = graph.input("x", "float32", tokenDims(BYTES, "tokens", COLS));
    await linear(graph, BYTES, x, "y", [of]);
    return fromBinary(ModelProtoSchema, graph.finish()).graph!.node
      .map(({ opType }) => opType);
  };
  const blocks = ["MatMulNBits", "Gemm"];
  assertEquals(
    (await operators(far)).filter((name) => blocks.includes(name)),
    blocks,
  );
  assertEquals((await operators(near(4))).at(-2), "MatMulIntegerToFloat");
  await check(BYTES, { far, near: near(5) });
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
