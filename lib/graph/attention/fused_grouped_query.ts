/**
 * Grouped-query attention as one operator of ONNX Runtime's (GroupQueryAttention): three dispatches on
 * a GPU, which also rotate queries and keys and write the new rows into the cache, in place.
 *
 * The operator appends a conversation's new rows behind `past` rows and lets each query see all rows
 * before its own. So a run appends at rows that nobody uses, a mask hides what a query must not see,
 * and after the run the new rows are moved to their places in the ring (`lib/cache/gpu_rows.ts` says
 * which rows are where). The angles of a token stand in row `past + t` of `cos` and `sin`, since that
 * is where the operator looks for them.
 *
 * @module
 */
import type { CacheTensor } from "../../cache/layout.ts";
import type { AttentionShape } from "../decoder_shape.ts";
import {
  float,
  type FloatType,
  type GraphBuilder,
  MICROSOFT,
} from "../graph_builder.ts";
import type { AttentionInput, AttentionKind } from "./attention_kind.ts";

/** Names of what every layer's attention reads beside its own projections and its cache. */
export const FUSED_CONTEXT = {
  /** `past + chunk − 1` of each conversation, int32 `[batch]`. */
  lengths: "lengths",
  /** The largest `past + chunk`, an int32 scalar. */
  total: "total",
  /** Cosines, `[rows, headDim / 2]`, of the cache's type. */
  cos: "cos",
  /** Sines, likewise. */
  sin: "sin",
  /** Added to scores, `[batch, 1, chunk, total]`, of the cache's type. */
  mask: "mask",
  /** `[batch, chunk, −1]`, int64: how tokens divide into conversations. */
  tokens: "tokens_shape",
} as const;

/** Graph output that holds a cache tensor's rows with the new ones: it is given the input's own memory. */
export function writtenTensor(tensor: string, layer: number): string {
  return `${tensor}_${layer}_written`;
}

/** Attention of `heads` queries over `kvHeads` keys and values; scores arrive scaled. */
export class FusedGroupedQueryAttention implements AttentionKind {
  readonly name: string;
  readonly floats: FloatType;
  readonly #tensors: readonly CacheTensor[];
  readonly #shape: AttentionShape;

  /**
   * @param floats type of the cache's rows, and of all that the graph computes
   * @throws {TypeError} if the operator does not take heads of that size
   */
  constructor(shape: AttentionShape, floats: FloatType) {
    const { headDim, kvHeads } = shape;
    if (headDim % 16 !== 0) {
      throw new TypeError(
        `Cannot attend with heads of ${headDim} values on a GPU: a multiple of 16 is needed; ` +
          `use EVERSTREAM_ENGINE=native or wasm`,
      );
    }
    this.#shape = shape;
    this.floats = floats;
    this.name = floats;
    const row = {
      type: floats,
      heads: kvHeads,
      width: headDim,
      byRow: true,
      sinks: true,
      tail: false,
      block: 0,
    };
    this.#tensors = ["keys", "values"].map((name) => ({
      ...row,
      name,
      rows: name,
    }));
  }

  /** Keys and values, the same in all layers. */
  tensors(): readonly CacheTensor[] {
    return this.#tensors;
  }

  declareInputs(graph: GraphBuilder): void {
    const half = this.#shape.headDim / 2;
    const element = this.floats;
    graph.input(FUSED_CONTEXT.lengths, "int32", ["batch"]);
    graph.input(FUSED_CONTEXT.total, "int32", []);
    graph.input(FUSED_CONTEXT.cos, element, ["angles", half]);
    graph.input(FUSED_CONTEXT.sin, element, ["angles", half]);
    graph.input(FUSED_CONTEXT.mask, element, ["batch", 1, "chunk", "total"]);
    graph.input(FUSED_CONTEXT.tokens, "int64", [3]);
  }

  emit(
    graph: GraphBuilder,
    layer: number,
    { projections, outputDims }: AttentionInput,
  ): { output: string; rows: Record<string, never> } {
    const { heads, kvHeads, headDim } = this.#shape;
    const at = (name: string) => `layer${layer}.${name}`;
    const past = this.#tensors.map(({ name }) =>
      graph.input(`${name}_${layer}`, this.floats, [
        "batch",
        kvHeads,
        "rows",
        headDim,
      ])
    );
    const written = this.#tensors.map(({ name }) => writtenTensor(name, layer));
    const packed = graph.node("Reshape", at("packed"), [
      projections,
      FUSED_CONTEXT.tokens,
    ]);
    const attended = at("attended");
    graph.nodes("GroupQueryAttention", [attended, ...written], [
      packed,
      "",
      "",
      ...past,
      FUSED_CONTEXT.lengths,
      FUSED_CONTEXT.total,
      FUSED_CONTEXT.cos,
      FUSED_CONTEXT.sin,
      "",
      FUSED_CONTEXT.mask,
    ], {
      domain: MICROSOFT,
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        do_rotary: 1,
        scale: float(1),
      },
    });
    for (const name of written) {
      graph.output(name, this.floats, ["batch", kvHeads, "rows", headDim]);
    }
    const output = graph.node("Reshape", at("attention"), [
      attended,
      graph.int64("flat_heads", outputDims(heads * headDim)),
    ]);
    return { output, rows: {} };
  }
}
