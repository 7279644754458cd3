/**
 * What the graph and the cache need of a way to attend. The cache manager knows rows, not
 * attention: a kind says which tensors keep its rows, and adds its nodes to the graph.
 *
 * @module
 */
import type { CacheTensor } from "../../cache/layout.ts";
import type { GraphBuilder } from "../graph_builder.ts";

/** Names of what every layer's attention reads beside its own projections. */
export const CONTEXT = {
  /** Rows of `cos`/`sin` for the tokens' own positions, int64 `[batch, chunk]`. */
  position: "position",
  /** Rows of `cos`/`sin` for the positions at which sinks are asked, int64 `[batch, chunk]`. */
  sinkPosition: "sink_position",
  /** Cosines, `[angles, rope.dimensions / 2]`. */
  cos: "cos",
  /** Sines, `[angles, rope.dimensions / 2]`. */
  sin: "sin",
  /** Added to scores, `[batch, 1, 1, chunk, sinks + window + chunk]`. */
  mask: "mask",
  /** `[batch, chunk, heads + 2 kvHeads, headDim]`, int64: how tokens divide into conversations. */
  heads: "heads",
  /** Columns of the mask by tensor: sinks and first block, further blocks, the chunk; int64. */
  split: "split",
} as const;

/** An attention kind. */
export interface AttentionKind {
  /** The tensors one layer's cache is made of. */
  readonly tensors: readonly CacheTensor[];
  /**
   * Adds the nodes of one layer.
   *
   * @param projections query, key and value side by side, `[batch × chunk, Σ widths]`
   * @returns the attention's output, `[batch × chunk, heads × headDim]`, and the new rows by the
   * name of their graph output, `[batch, heads, chunk, width]` each
   */
  emit(
    graph: GraphBuilder,
    layer: number,
    projections: string,
  ): { output: string; rows: Record<string, string> };
}
