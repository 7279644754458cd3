/**
 * What the graph and the cache need of a way to attend. The cache manager knows rows, not
 * attention: a kind says which tensors keep its rows, and adds its nodes to the graph.
 *
 * @module
 */
import type { CacheTensor } from "../../cache/layout.ts";
import type { FloatType, GraphBuilder } from "../graph_builder.ts";

/** What a layer's attention is of. */
export interface AttentionInput {
  readonly projections: string;
  outputDims(width: number): readonly number[];
}

/** An attention kind. */
export interface AttentionKind {
  /** Part of a converted graph's name: kinds that give other graphs have other names. */
  readonly name: string;
  /** What the graph computes in. */
  readonly floats: FloatType;
  /** The tensors a layer's cache is made of. */
  tensors(layer: number): readonly CacheTensor[];
  /** Declares the graph inputs that all layers read beside their own projections. */
  declareInputs(graph: GraphBuilder): void;
  /**
   * Adds the nodes of one layer.
   *
   * @param of.projections query, key and value side by side: `Σ widths` values for each of `batch × chunk` tokens
   * @param of.outputDims dimensions of an output of so many values for each token
   * @returns the attention's output, `heads × headDim` values for each token, and the new rows by the
   * name of their graph output, f32 `[batch, heads, chunk, width]` each; none if the kind writes them
   * into the cache itself
   */
  emit(
    graph: GraphBuilder,
    layer: number,
    of: AttentionInput,
  ): { output: string; rows: Record<string, string> };
}
