import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { TensorData } from "../../lib/engine/engine.ts";
import {
  integerMix,
  integerScores,
} from "../../lib/graph/attention/integer_products.ts";
import type { Ring } from "../../lib/graph/attention/ring.ts";
import type { GraphBuilder } from "../../lib/graph/graph_builder.ts";
import { runGraph } from "./tiny_graph.ts";

/** How numbers that a product is taken of spread. */
const spreads = fc.constantFrom("even", "peaked", "tiny", "zero");

const sizes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  kvHeads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 4 }),
  headDim: fc.constantFrom(4, 16, 64),
  blocks: fc.array(fc.integer({ min: 1, max: 700 }), {
    minLength: 1,
    maxLength: 2,
  }),
  spread: spreads,
  seed: fc.integer({ min: 1, max: 1 << 30 }),
});

type Sizes = typeof sizes extends fc.Arbitrary<infer T> ? T : never;

/** Numbers between -1 and 1 that depend on the seed alone. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
}

function spreadNumber(
  spread: Sizes["spread"],
  next: () => number,
  at: number,
): number {
  if (spread === "zero") return 0;
  if (spread === "tiny") return next() * 1e-20;
  if (spread === "peaked") return at % 97 === 0 ? next() : next() * 1e-4;
  return next();
}

/** A block's codes and scales, and its rows in f64. */
function block(
  next: () => number,
  { count, rows, headDim, byRow }: {
    count: number;
    rows: number;
    headDim: number;
    byRow: boolean;
  },
) {
  const codes = new Int8Array(count * rows * headDim)
    .map(() => Math.round(next() * 127));
  const scales = new Float32Array(count * rows)
    .map(() => 0.02 * Math.abs(next()));
  const value = (head: number, row: number, d: number) =>
    scales[head * rows + row]! *
    codes[
      byRow
        ? (head * rows + row) * headDim + d
        : (head * headDim + d) * rows + row
    ]!;
  return { codes, scales, rows, value };
}

/** The largest error of f32 and of what is added up in it, relative to the sum of magnitudes. */
const ERROR = 2 ** -20;

function assertNear(
  found: number,
  { sum, magnitude }: { sum: number; magnitude: number },
): void {
  const error = Math.abs(found - sum);
  assert(error <= ERROR * magnitude, `${found} for ${sum}, of ${magnitude}`);
}

type Inputs = Record<string, { data: TensorData; dims: number[] }>;

/** Runs what `add` adds to a graph that has these inputs, codes and scales of a ring's blocks among them. */
function runOnRing(
  { kvHeads, group, headDim, blocks }: Sizes,
  inputs: Inputs,
  add: (graph: GraphBuilder, ring: Ring) => void,
): Promise<Record<string, Float32Array>> {
  return runGraph((graph) => {
    for (const [name, { data, dims }] of Object.entries(inputs)) {
      graph.input(name, data instanceof Int8Array ? "int8" : "float32", dims);
    }
    add(graph, {
      kvHeads,
      group,
      headDim,
      blocks: blocks.map((_, i) => [`codes${i}`, `scales${i}`]),
      sizes: graph.int64("sizes", blocks),
    });
    return Promise.resolve();
  }, inputs);
}

async function checkScores(of: Sizes): Promise<void> {
  const { batch, kvHeads, group, headDim, spread } = of;
  const next = numbers(of.seed);
  const count = batch * kvHeads;
  const query = new Float32Array(count * group * headDim)
    .map((_, at) => spreadNumber(spread, next, at));
  const blocks = of.blocks.map((rows) =>
    block(next, { count, rows, headDim, byRow: false })
  );
  const inputs: Inputs = {
    query: { data: query, dims: [batch, kvHeads, group, 1, headDim] },
  };
  for (const [i, { codes, scales, rows }] of blocks.entries()) {
    const dims = [batch, kvHeads, 1, headDim, rows];
    inputs[`codes${i}`] = { data: codes, dims };
    inputs[`scales${i}`] = { data: scales, dims: dims.with(3, 1) };
  }
  const outputs = await runOnRing(of, inputs, (graph, ring) => {
    const scores = integerScores(graph, "s", { query: "query", ring });
    for (const name of scores) {
      graph.output(name, "float32", [batch, kvHeads, group, 1, "rows"]);
    }
  });
  assertEquals(Object.keys(outputs).length, blocks.length);
  const scores = Object.values(outputs);
  for (const [i, { rows, value }] of blocks.entries()) {
    for (let at = 0; at < count * group * rows; at++) {
      const [line, row] = [Math.floor(at / rows), at % rows];
      const head = Math.floor(line / group);
      const found = scores[i]![line * rows + row]!;
      const most = Math.max(
        ...query.subarray(head * group * headDim, (head + 1) * group * headDim)
          .map(Math.abs),
      );
      let [sum, magnitude] = [0, 0];
      for (let d = 0; d < headDim; d++) {
        sum += query[line * headDim + d]! * value(head, row, d);
        magnitude += most * Math.abs(value(head, row, d));
      }
      assertNear(found, { sum, magnitude });
    }
  }
}

async function checkMix(of: Sizes): Promise<void> {
  const { batch, kvHeads, group, headDim, spread } = of;
  const next = numbers(of.seed);
  const count = batch * kvHeads;
  const all = of.blocks.reduce((sum, rows) => sum + rows, 0);
  const weights = new Float32Array(count * group * all)
    .map((_, at) => Math.abs(spreadNumber(spread, next, at)));
  const blocks = of.blocks.map((rows) =>
    block(next, { count, rows, headDim, byRow: true })
  );
  const inputs: Inputs = {
    weights: { data: weights, dims: [batch, kvHeads, group, 1, all] },
  };
  for (const [i, { codes, scales, rows }] of blocks.entries()) {
    const dims = [batch, kvHeads, 1, rows, headDim];
    inputs[`codes${i}`] = { data: codes, dims };
    inputs[`scales${i}`] = { data: scales, dims: [batch, kvHeads, 1, 1, rows] };
  }
  const outputs = await runOnRing(of, inputs, (graph, ring) => {
    const mix = integerMix(graph, "m", { weights: "weights", ring });
    graph.output(mix, "float32", [batch, kvHeads, group, 1, headDim]);
  });
  const [mix] = Object.values(outputs);
  assertEquals(mix!.length, count * group * headDim);
  for (const [at, found] of mix!.entries()) {
    const [line, d] = [Math.floor(at / headDim), at % headDim];
    const head = Math.floor(line / group);
    let [sum, magnitude, before, largest] = [0, 0, 0, 0];
    for (const { rows, value, scales } of blocks) {
      for (let row = 0; row < rows; row++) {
        const weight = weights[line * all + before + row]!;
        const one = value(head, row, d);
        for (let g = head * group; g < (head + 1) * group; g++) {
          const other = weights[g * all + before + row]!;
          largest = Math.max(largest, other * scales[head * rows + row]!);
        }
        sum += weight * one;
        magnitude += weight * Math.abs(one);
      }
      before += rows;
    }
    // What codes of up to 127 are multiplied with is off by up to half of 1 / (63 * 2 ** 14) of the largest.
    const cut = all * 127 * largest / (2 * 63 * 2 ** 14);
    assertNear(found, { sum, magnitude: magnitude + cut / ERROR });
  }
}

Deno.test("products in integers: scores are as near to those in f64 as f32 is, whatever the queries", async () => {
  await fc.assert(fc.asyncProperty(sizes, checkScores), { numRuns: 25 });
});

Deno.test("products in integers: mixes are as near to those in f64 as f32 is, however weights spread", async () => {
  await fc.assert(fc.asyncProperty(sizes, checkMix), { numRuns: 25 });
});
