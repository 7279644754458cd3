/**
 * Attention outside of the graph, on engines that take such nodes: the graph asks for it layer by layer, and
 * neither caches nor positions are among its inputs.
 *
 * @module
 */
import type { CacheTensor } from "../../cache/layout.ts";
import type { AttentionShape } from "../decoder_shape.ts";
import { GraphBuilder } from "../graph_builder.ts";
import type { AttentionInput, AttentionKind } from "./attention_kind.ts";
import type { GroupedQueryAttention } from "./grouped_query.ts";

/** The node's operator, and the domain it is of. */
export const ATTEND = { operator: "Attend", domain: "everstream" } as const;

/** The one integer that a node has: its layer. */
export const ATTEND_LAYER = "layer";

/** Asks for what another kind computes: a node gives a layer's projections, and gets what is attended to. */
export class Attended implements AttentionKind {
  readonly name = "attend";
  readonly floats = "float32";
  readonly #shape: AttentionShape;
  readonly #kind: AttentionKind;

  /** @param kind whose rows are kept */
  constructor(shape: AttentionShape, kind: AttentionKind) {
    this.#shape = shape;
    this.#kind = kind;
  }

  tensors(layer: number): readonly CacheTensor[] {
    return this.#kind.tensors(layer);
  }

  declareInputs(): void {}

  emit(
    graph: GraphBuilder,
    layer: number,
    { projections, outputDims }: AttentionInput,
  ): { output: string; rows: Record<string, string> } {
    const { heads, headDim } = this.#shape;
    const at = (name: string) => `layer${layer}.${name}`;
    const attended = graph.node(
      ATTEND.operator,
      at("attended"),
      [projections],
      {
        domain: ATTEND.domain,
        attributes: { [ATTEND_LAYER]: layer },
      },
    );
    const flat = graph.int64("flat_heads", outputDims(heads * headDim));
    const output = graph.node("Reshape", at("attention"), [attended, flat]);
    return { output, rows: {} };
  }
}

/** A graph of one layer's attention. */
export interface AttentionGraph {
  readonly model: Uint8Array;
  /** Names of its outputs; what goes in is called {@linkcode PROJECTIONS}, and all else as if its layer were 0. */
  readonly outputs: {
    readonly attended: string;
    readonly keys: string;
    readonly values: string;
  };
}

/** The input of an {@linkcode AttentionGraph}, `[tokens, (heads + 2 kvHeads) × headDim]`. */
export const PROJECTIONS = "projections";

/** What a kind adds for one layer as a graph of its own, without any weights: it serves all layers. */
export function attentionGraph(
  shape: AttentionShape,
  kind: GroupedQueryAttention,
): AttentionGraph {
  const { heads, kvHeads, headDim } = shape;
  const graph = new GraphBuilder("attention", {
    location: "",
    append: () => Promise.reject(new Error("Attention has no weights")),
  });
  kind.declareInputs(graph);
  const all = (heads + 2 * kvHeads) * headDim;
  const projections = graph.input(PROJECTIONS, "float32", ["tokens", all]);
  const { output, rows } = kind.emit(graph, 0, {
    projections,
    outputDims: (width) => [-1, width],
  });
  const { keys, values } = rows as { keys: string; values: string };
  graph.output(output, "float32", ["tokens", heads * headDim]);
  for (const name of [keys, values]) {
    graph.output(name, "float32", ["batch", kvHeads, "chunk", headDim]);
  }
  return { model: graph.finish(), outputs: { attended: output, keys, values } };
}
