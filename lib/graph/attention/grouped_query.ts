/**
 * Multi-head, multi-query and grouped-query attention (arXiv 2305.13245) over sinks, a ring and
 * the chunk itself, in plain ONNX operators: the same nodes run on every engine.
 *
 * Keys and values are stored as columns (`[kvHeads, headDim, tokens]`), so that a query's scores and
 * the mix of values are matrix–vector products along memory, and each head of a group is a product of its own with M = 1
 * (faster on CPUs than folding the group into M). Sinks are asked by a second rotation of the
 * query, at its index in the cache: nothing stored is ever rewritten.
 *
 * @module
 */
import type { CacheTensor } from "../../cache/layout.ts";
import type { AttentionShape } from "../decoder_shape.ts";
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import type { AttentionKind } from "./attention_kind.ts";

/** Names of what every layer's attention reads beside its own projections. */
export const CONTEXT = {
  /** Rows of `cos`/`sin` for the tokens' own positions, int64 `[batch, chunk]`. */
  position: "position",
  /** Rows of `cos`/`sin` for the positions at which sinks are asked, int64 `[batch, chunk]`. */
  sinkPosition: "sink_position",
  /** Cosines, `[angles, headDim / 2]`. */
  cos: "cos",
  /** Sines, `[angles, headDim / 2]`. */
  sin: "sin",
  /** Added to scores, `[batch, 1, 1, chunk, sinks + window + chunk]`. */
  mask: "mask",
  /** `[batch, chunk, heads + 2 kvHeads, headDim]`, int64: how tokens divide into conversations. */
  heads: "heads",
  /** Columns of the mask by tensor: sinks and first block, further blocks, the chunk; int64. */
  split: "split",
} as const;

/** Attention of `heads` queries over `kvHeads` keys and values; scores arrive scaled. */
export class GroupedQueryAttention implements AttentionKind {
  readonly name: string;
  readonly floats = "float32";
  readonly tensors: readonly CacheTensor[];
  readonly #shape: AttentionShape;

  /** @param blocks parts that the window's ring is divided into */
  constructor(shape: AttentionShape, blocks: number) {
    this.#shape = shape;
    this.name = `blocks${blocks}`;
    const row = { heads: shape.kvHeads, width: shape.headDim };
    const parts = Array.from({ length: blocks }, (_, block) => block);
    this.tensors = [
      { ...row, name: "sink_keys", rows: "keys", sinks: true, block: null },
      ...parts.map((block) => ({
        ...row,
        name: `keys${block}`,
        rows: "keys",
        sinks: false,
        block,
      })),
      ...parts.map((block) => ({
        ...row,
        name: `values${block}`,
        rows: "values",
        sinks: block === 0,
        block,
      })),
    ];
  }

  declareInputs(graph: GraphBuilder): void {
    const half = this.#shape.headDim / 2;
    graph.input(CONTEXT.position, "int64", ["batch", "chunk"]);
    graph.input(CONTEXT.sinkPosition, "int64", ["batch", "chunk"]);
    graph.input(CONTEXT.cos, "float32", ["angles", half]);
    graph.input(CONTEXT.sin, "float32", ["angles", half]);
    graph.input(CONTEXT.mask, "float32", ["batch", 1, 1, "chunk", "rows"]);
    graph.input(CONTEXT.split, "int64", ["parts"]);
    graph.input(CONTEXT.heads, "int64", [4]);
  }

  emit(
    graph: GraphBuilder,
    layer: number,
    projections: string,
  ): { output: string; rows: Record<string, string> } {
    const { kvHeads, heads, headDim } = this.#shape;
    const at = (name: string) => `layer${layer}.${name}`;
    const stored = (rows: string) =>
      this.tensors.filter((tensor) => tensor.rows === rows)
        .map((tensor) => declareCache(graph, tensor, layer));
    const [sinkKeys, ...windowKeys] = stored("keys") as [string, ...string[]];
    const values = stored("values");

    const [query, key, value] = this.#heads(graph, at, projections);
    const keyRows = this.#rotate(graph, at("keys"), key, CONTEXT.position);
    const rotated = (name: string, position: string) =>
      this.#rotate(graph, at(name), query, position);
    const group = (name: string, x: string, size: number) =>
      graph.node("Reshape", at(name), [
        x,
        graph.int64(`group${size}`, [0, kvHeads, size, -1, headDim]),
      ]);
    const perKey = heads / kvHeads;
    const q = group("q", rotated("window_query", CONTEXT.position), perKey);
    const qs = group("qs", rotated("sink_query", CONTEXT.sinkPosition), perKey);
    const k = group("k", keyRows, 1);
    const v = group("v", value, 1);

    const product = (name: string, a: string, b: string) =>
      graph.node("MatMul", at(name), [a, b]);
    const productTransposed = (name: string, a: string, b: string) =>
      graph.node("FusedMatMul", at(name), [a, b], {
        domain: MICROSOFT,
        attributes: { transB: 1 },
      });
    const scores = graph.node("Concat", at("scores"), [
      product("sink_scores", qs, sinkKeys),
      ...windowKeys.map((keys, i) => product(`window_scores${i}`, q, keys)),
      productTransposed("chunk_scores", q, k),
    ], { attributes: { axis: -1 } });
    const masked = graph.node("Add", at("masked"), [scores, CONTEXT.mask]);
    const weights = graph.node("Softmax", at("weights"), [masked], {
      attributes: { axis: -1 },
    });
    const parts = values.map((_, i) => at(`stored_weights${i}`));
    const own = at("chunk_weights");
    graph.nodes("Split", [...parts, own], [weights, CONTEXT.split], {
      attributes: { axis: -1 },
    });
    const mixed = graph.node("Sum", at("mixed"), [
      ...values.map((columns, i) =>
        productTransposed(`stored_mix${i}`, parts[i]!, columns)
      ),
      product("chunk_mix", own, v),
    ]);
    const tokens = graph.node("Transpose", at("mixed.tokens"), [mixed], {
      attributes: { perm: [0, 3, 1, 2, 4] },
    });
    const flat = graph.int64("flat_heads", [-1, heads * headDim]);
    return {
      output: graph.node("Reshape", at("attention"), [tokens, flat]),
      rows: { keys: keyRows, values: value },
    };
  }

  /** Query, key and value with their heads first: `[batch, heads, chunk, headDim]`. */
  #heads(
    graph: GraphBuilder,
    at: (name: string) => string,
    projections: string,
  ): [query: string, key: string, value: string] {
    const { kvHeads, heads } = this.#shape;
    const tokens = graph.node("Reshape", at("heads.tokens"), [
      projections,
      CONTEXT.heads,
    ]);
    const first = graph.node("Transpose", at("heads"), [tokens], {
      attributes: { perm: [0, 2, 1, 3] },
    });
    const parts: [string, string, string] = [
      at("query"),
      at("key"),
      at("values"),
    ];
    graph.nodes("Split", parts, [
      first,
      graph.int64("head_counts", [heads, kvHeads, kvHeads]),
    ], { attributes: { axis: 1 } });
    return parts;
  }

  #rotate(
    graph: GraphBuilder,
    name: string,
    x: string,
    position: string,
  ): string {
    const inputs = [x, position, CONTEXT.cos, CONTEXT.sin];
    return graph.node("RotaryEmbedding", name, inputs, { domain: MICROSOFT });
  }
}

function declareCache(
  graph: GraphBuilder,
  tensor: CacheTensor,
  layer: number,
): string {
  const { heads, width, sinks, block } = tensor;
  const rows = [...sinks ? ["sinks"] : [], ...block === null ? [] : [block]];
  return graph.input(`${tensor.name}_${layer}`, "float32", [
    "batch",
    heads,
    1,
    width,
    `rows_${rows.join("_")}`,
  ]);
}
