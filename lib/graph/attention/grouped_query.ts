/**
 * Multi-head, multi-query and grouped-query attention (arXiv 2305.13245) over sinks, a ring and
 * the chunk itself, in plain ONNX operators: the same nodes run on every engine.
 *
 * Keys are stored as columns (`[kvHeads, headDim, tokens]`), so that a query's scores are one
 * matrix–vector product along memory, and each head of a group is a product of its own with M = 1
 * (faster on CPUs than folding the group into M). Sinks are asked by a second rotation of the
 * query, at its index in the cache: nothing stored is ever rewritten.
 *
 * @module
 */
import type { CacheTensor } from "../../cache/layout.ts";
import type { DecoderShape } from "../decoder_shape.ts";
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import { type AttentionKind, CONTEXT } from "./attention_kind.ts";

/** Attention of `heads` queries over `kvHeads` keys and values; scores arrive scaled. */
export class GroupedQueryAttention implements AttentionKind {
  readonly tensors: readonly CacheTensor[];
  readonly projections: readonly number[];
  readonly #shape: DecoderShape;

  constructor(shape: DecoderShape) {
    const { heads, kvHeads, headDim } = shape;
    this.#shape = shape;
    this.projections = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
    const row = { heads: kvHeads, width: headDim };
    this.tensors = [
      {
        ...row,
        name: "sink_keys",
        rows: "keys",
        tokensLast: true,
        holds: "sinks",
      },
      {
        ...row,
        name: "window_keys",
        rows: "keys",
        tokensLast: true,
        holds: "window",
      },
      {
        ...row,
        name: "values",
        rows: "values",
        tokensLast: false,
        holds: "all",
      },
    ];
  }

  emit(
    graph: GraphBuilder,
    layer: number,
    projections: readonly string[],
  ): { output: string; rows: Record<string, string> } {
    const { kvHeads, heads, headDim } = this.#shape;
    const [query, key, value] = projections as [string, string, string];
    const at = (name: string) => `layer${layer}.${name}`;
    const [sinkKeys, windowKeys, values] = this.tensors.map((tensor) =>
      declareCache(graph, tensor, layer)
    ) as [string, string, string];

    const keyRows = this.#rotate(graph, at("key"), key, CONTEXT.position);
    const windowQuery = this.#rotate(
      graph,
      at("window_query"),
      query,
      CONTEXT.position,
    );
    const sinkQuery = this.#rotate(
      graph,
      at("sink_query"),
      query,
      CONTEXT.sinkPosition,
    );

    const grouped = graph.int64("grouped", [
      0,
      0,
      kvHeads,
      heads / kvHeads,
      headDim,
    ]);
    const single = graph.int64("single", [0, 0, kvHeads, 1, headDim]);
    const turn = (name: string, x: string, shape: string, perm: number[]) =>
      graph.node("Transpose", at(name), [
        graph.node("Reshape", at(`${name}.heads`), [x, shape]),
      ], {
        attributes: { perm },
      });
    const q = turn("q", windowQuery, grouped, [0, 2, 3, 1, 4]); // [B, kv, group, T, d]
    const qs = turn("qs", sinkQuery, grouped, [0, 2, 3, 1, 4]);
    const k = turn("k", keyRows, single, [0, 2, 3, 4, 1]); // [B, kv, 1, d, T]
    const v = turn("v", value, single, [0, 2, 3, 1, 4]); // [B, kv, 1, T, d]

    const product = (name: string, a: string, b: string) =>
      graph.node("MatMul", at(name), [a, b]);
    const scores = graph.node("Concat", at("scores"), [
      product("sink_scores", qs, sinkKeys),
      product("window_scores", q, windowKeys),
      product("chunk_scores", q, k),
    ], { attributes: { axis: -1 } });
    const masked = graph.node("Add", at("masked"), [scores, CONTEXT.mask]);
    const weights = graph.node("Softmax", at("weights"), [masked], {
      attributes: { axis: -1 },
    });
    graph.nodes("Split", [at("stored_weights"), at("chunk_weights")], [
      weights,
      CONTEXT.split,
    ], {
      attributes: { axis: -1 },
    });
    const mixed = graph.node("Add", at("mixed"), [
      product("stored_mix", at("stored_weights"), values),
      product("chunk_mix", at("chunk_weights"), v),
    ]);
    const tokens = graph.node("Transpose", at("mixed.tokens"), [mixed], {
      attributes: { perm: [0, 3, 1, 2, 4] },
    });
    const flat = graph.int64("flat_heads", [0, 0, heads * headDim]);
    return {
      output: graph.node("Reshape", at("attention"), [tokens, flat]),
      rows: { keys: keyRows, values: value },
    };
  }

  #rotate(
    graph: GraphBuilder,
    name: string,
    x: string,
    position: string,
  ): string {
    const { headDim, rope } = this.#shape;
    const partial: Record<string, number> = rope.dimensions === headDim ? {} : {
      rotary_embedding_dim: rope.dimensions,
      num_heads: name.endsWith(".key")
        ? this.#shape.kvHeads
        : this.#shape.heads,
    };
    return graph.node("RotaryEmbedding", name, [
      x,
      position,
      CONTEXT.cos,
      CONTEXT.sin,
    ], {
      domain: MICROSOFT,
      attributes: partial,
    });
  }
}

function declareCache(
  graph: GraphBuilder,
  tensor: CacheTensor,
  layer: number,
): string {
  const tokens = `${tensor.holds}_rows`;
  const shape = tensor.tokensLast
    ? ["batch", tensor.heads, 1, tensor.width, tokens]
    : ["batch", tensor.heads, 1, tokens, tensor.width];
  return graph.input(`${tensor.name}_${layer}`, "float32", shape);
}
