/**
 * Multi-head, multi-query and grouped-query attention (arXiv 2305.13245) over sinks, a ring and
 * the chunk itself, in plain ONNX operators: the same nodes run on every engine.
 *
 * Keys and values are stored as columns (`[kvHeads, headDim, tokens]`), so that a query's scores and
 * the mix of values are matrix–vector products along memory, and each head of a group is a product of its own with M = 1
 * (faster on CPUs than folding the group into M). Sinks are asked by a second rotation of the
 * query, at its index in the cache: nothing stored is ever rewritten. Sinks are few and kept in f32,
 * however the window's rows are kept (`row_format.ts`).
 *
 * @module
 */
import type { CacheTensor, SlotLayout } from "../../cache/layout.ts";
import type { AttentionShape } from "../decoder_shape.ts";
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import type { AttentionKind, NewRows } from "./attention_kind.ts";
import { F32_ROWS, type RowFormat, turn } from "./row_format.ts";
import { type RowFormats, rowFormats } from "./row_formats.ts";

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
  /** Columns of the mask by tensor of values, then the chunk; int64. */
  split: "split",
  /** Which tokens of the chunk are sinks, bool `[batch, 1, chunk, 1]`; only if rows are not kept in f32. */
  newSinks: "new_sinks",
  /**
   * By layer, if layers keep different numbers of rows: 1 for the columns whose weights are summed up,
   * 0 for the others, `[batch, 1, 1, sinks + window + chunk, 1]`.
   */
  near: "near",
} as const;

/** What of the context each layer has of its own, if layers keep different numbers of rows. */
const BY_LAYER = ["sinkPosition", "mask", "split", "near"] as const;

/** Name of a layer's own input. */
export function layerInput(
  name: typeof BY_LAYER[number],
  layer: number,
): string {
  return `${CONTEXT[name]}_${layer}`;
}

/** Graph output: weights on {@linkcode CONTEXT.near} columns, `[batch, layers × heads, chunk, 1]`. */
export const MASS = "mass";

/** How an attention kind's rows lie and are kept. */
export interface RingShape {
  /** Parts that the window's ring is divided into. */
  readonly blocks: number;
  /** Default: f32. */
  readonly formats?: RowFormats;
  /** Whether layers keep different numbers of rows, each with a mask of its own. */
  readonly layered?: boolean;
}

/** Attention of `heads` queries over `kvHeads` keys and values; scores arrive scaled. */
export class GroupedQueryAttention implements AttentionKind {
  readonly name: string;
  readonly floats = "float32";
  readonly #shape: AttentionShape;
  readonly #blocks: readonly number[];
  readonly #formats: RowFormats;
  readonly #layered: boolean;

  constructor(
    shape: AttentionShape,
    { blocks, formats = rowFormats(32), layered = false }: RingShape,
  ) {
    this.#shape = shape;
    this.#blocks = Array.from({ length: blocks }, (_, block) => block);
    this.#formats = formats;
    this.#layered = layered;
    this.name = [
      `blocks${blocks}`,
      ...formats.name === "f32" ? [] : [formats.name],
      ...layered ? ["layered"] : [],
    ].join("-");
  }

  /** Whether rows are kept as they are computed. */
  get plain(): boolean {
    return this.#formats.name === F32_ROWS.name;
  }

  /** Columns of {@linkcode CONTEXT.split}. */
  split({ sinkRows, blocks }: SlotLayout, chunk: number): number[] {
    const [first, ...others] = blocks as [number, ...number[]];
    return sinksApart(this.#formats.values(0))
      ? [sinkRows, first, ...others, chunk]
      : [sinkRows + first, ...others, chunk];
  }

  tensors(layer: number): readonly CacheTensor[] {
    return [
      ...this.#tensorsOf("keys", this.#formats.keys(layer)),
      ...this.#tensorsOf("values", this.#formats.values(layer)),
    ];
  }

  declareInputs(graph: GraphBuilder): void {
    const half = this.#shape.headDim / 2;
    graph.input(CONTEXT.position, "int64", ["batch", "chunk"]);
    graph.input(CONTEXT.cos, "float32", ["angles", half]);
    graph.input(CONTEXT.sin, "float32", ["angles", half]);
    graph.input(CONTEXT.heads, "int64", [4]);
    if (!this.plain) {
      graph.input(CONTEXT.newSinks, "bool", ["batch", 1, "chunk", 1]);
    }
    if (!this.#layered) this.#declareRows(graph, null);
  }

  emit(
    graph: GraphBuilder,
    layer: number,
    projections: string,
  ): { output: string; rows: Record<string, NewRows> } {
    const { kvHeads, heads, headDim } = this.#shape;
    const at = (name: string) => `layer${layer}.${name}`;
    if (this.#layered) this.#declareRows(graph, layer);
    const context = this.#layered
      ? (name: typeof BY_LAYER[number]) => layerInput(name, layer)
      : (name: typeof BY_LAYER[number]) => CONTEXT[name];
    for (const tensor of this.tensors(layer)) {
      declareCache(graph, tensor, { layer, layered: this.#layered });
    }
    const formats = {
      keys: this.#formats.keys(layer),
      values: this.#formats.values(layer),
    };
    const rows: Record<string, NewRows> = {};

    const [query, key, value] = this.#heads(graph, at, projections);
    const rotated = this.#rotate(graph, at("keys"), key, CONTEXT.position);
    const keep = (of: "keys" | "values", x: string) =>
      this.#keep(graph, at(`${of}.kept`), { of, x, format: formats[of], rows });
    const keyRows = keep("keys", rotated);
    const valueRows = keep("values", value);
    const ask = (name: string, position: string) =>
      this.#rotate(graph, at(name), query, position);
    const group = (name: string, x: string, size: number) =>
      graph.node("Reshape", at(name), [
        x,
        graph.int64(`group${size}`, [0, kvHeads, size, -1, headDim]),
      ]);
    const perKey = heads / kvHeads;
    const windowQuery = ask("window_query", CONTEXT.position);
    const asked = formats.keys.turned
      ? this.#turn(graph, at("turned_query"), windowQuery)
      : windowQuery;
    const q = group("q", asked, perKey);
    const qs = group("qs", ask("sink_query", context("sinkPosition")), perKey);
    const k = group("k", keyRows, 1);
    const v = group("v", valueRows, 1);

    const product = (name: string, a: string, b: string) =>
      graph.node("MatMul", at(name), [a, b]);
    const productTransposed = (name: string, a: string, b: string) =>
      graph.node("FusedMatMul", at(name), [a, b], {
        domain: MICROSOFT,
        attributes: { transB: 1 },
      });
    const ring = (of: "keys" | "values", block: number) =>
      formats[of].decode(
        graph,
        at(`${of}${block}`),
        this.#tensorsOf(of, formats[of])
          .filter((tensor) => tensor.block === block)
          .map((tensor) => `${tensor.name}_${layer}`),
        headDim,
      );
    const scores = graph.node("Concat", at("scores"), [
      product("sink_scores", qs, `sink_keys_${layer}`),
      ...this.#blocks.map((block) =>
        product(`window_scores${block}`, q, ring("keys", block))
      ),
      productTransposed("chunk_scores", q, k),
    ], { attributes: { axis: -1 } });
    const masked = graph.node("Add", at("masked"), [scores, context("mask")]);
    const weights = graph.node("Softmax", at("weights"), [masked], {
      attributes: { axis: -1 },
    });
    if (this.#layered) {
      const near = product("near_weights", weights, context("near"));
      const mass = graph.node("Reshape", at("mass"), [
        near,
        graph.int64("mass_shape", [0, heads, -1, 1]),
      ]);
      rows[MASS] = { value: mass, type: "float32" };
    }

    const apart = sinksApart(formats.values);
    const sinkWeights = apart ? [at("sink_weights")] : [];
    const parts = this.#blocks.map((block) => at(`stored_weights${block}`));
    const own = at("chunk_weights");
    graph.nodes("Split", [...sinkWeights, ...parts, own], [
      weights,
      context("split"),
    ], { attributes: { axis: -1 } });
    const windowMix = graph.node("Sum", at("window_mix"), [
      ...this.#blocks.map((block) =>
        productTransposed(
          `stored_mix${block}`,
          parts[block]!,
          ring("values", block),
        )
      ),
      product("chunk_mix", own, v),
    ]);
    const back = formats.values.turned
      ? this.#turn(graph, at("turned_mix"), windowMix)
      : windowMix;
    const mixed = apart
      ? graph.node("Add", at("mixed"), [
        back,
        productTransposed("sink_mix", sinkWeights[0]!, `sink_values_${layer}`),
      ])
      : back;
    const tokens = graph.node("Transpose", at("mixed.tokens"), [mixed], {
      attributes: { perm: [0, 3, 1, 2, 4] },
    });
    const flat = graph.int64("flat_heads", [-1, heads * headDim]);
    return {
      output: graph.node("Reshape", at("attention"), [tokens, flat]),
      rows,
    };
  }

  /** Tensors of keys or values: the sinks', then for each block those of a row's parts. */
  #tensorsOf(of: "keys" | "values", format: RowFormat): CacheTensor[] {
    const { kvHeads: heads, headDim } = this.#shape;
    const apart = of === "keys" || sinksApart(format);
    const sinks: CacheTensor = {
      name: `sink_${of}`,
      rows: of,
      type: "float32",
      heads,
      width: headDim,
      sinks: true,
      block: null,
    };
    const blocks = this.#blocks.flatMap((block) =>
      format.parts(headDim).map(({ suffix, type, width }) => ({
        name: `${of}${suffix}${block}`,
        rows: `${of}${suffix}`,
        type,
        heads,
        width,
        sinks: !apart && block === 0,
        block,
      }))
    );
    return apart ? [sinks, ...blocks] : blocks;
  }

  /** Makes new rows into what is kept of them, and gives them as queries see them. */
  #keep(
    graph: GraphBuilder,
    name: string,
    { of, x, format, rows }: {
      of: "keys" | "values";
      x: string;
      format: RowFormat;
      rows: Record<string, NewRows>;
    },
  ): string {
    rows[of] = { value: x, type: "float32" };
    if (format === F32_ROWS) return x;
    const turned = format.turned ? this.#turn(graph, `${name}.turned`, x) : x;
    const { parts, seen } = format.encode(graph, name, turned);
    for (const [i, { suffix, type }] of format.parts(0).entries()) {
      rows[`${of}${suffix}`] = { value: parts[i]!, type };
    }
    // Sinks are kept in f32, and seen so from the first.
    return graph.node("Where", `${name}.rows`, [
      CONTEXT.newSinks,
      turned,
      seen,
    ]);
  }

  #turn(graph: GraphBuilder, name: string, vectors: string): string {
    return turn(graph, name, { vectors, width: this.#shape.headDim });
  }

  /** Declares what depends on how many rows there are: for all layers, or for one. */
  #declareRows(graph: GraphBuilder, layer: number | null): void {
    const name = (of: typeof BY_LAYER[number]) =>
      layer === null ? CONTEXT[of] : layerInput(of, layer);
    const rows = layer === null ? "rows" : `rows_of_${layer}`;
    graph.input(name("sinkPosition"), "int64", ["batch", "chunk"]);
    graph.input(name("mask"), "float32", ["batch", 1, 1, "chunk", rows]);
    graph.input(name("split"), "int64", ["parts"]);
    if (layer === null) return;
    graph.input(name("near"), "float32", ["batch", 1, 1, rows, 1]);
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

/** Whether sinks' values have a tensor of their own: beside rows in f32 they come first in the first block. */
function sinksApart(values: RowFormat): boolean {
  return values !== F32_ROWS;
}

function declareCache(
  graph: GraphBuilder,
  tensor: CacheTensor,
  { layer, layered }: { layer: number; layered: boolean },
): void {
  const { heads, width, sinks, block } = tensor;
  const rows = [
    ...sinks ? ["sinks"] : [],
    ...block === null ? [] : [block],
    ...layered ? ["of", layer] : [],
  ];
  graph.input(`${tensor.name}_${layer}`, tensor.type, [
    "batch",
    heads,
    1,
    width,
    `rows_${rows.join("_")}`,
  ]);
}
