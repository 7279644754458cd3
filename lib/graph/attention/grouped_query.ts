/**
 * Multi-head, multi-query and grouped-query attention (arXiv 2305.13245) over sinks, a ring and
 * the chunk itself, in plain ONNX operators: the same nodes run on every engine.
 *
 * A token is a row of keys and values (`[kvHeads, tokens, headDim]`) and each head of a group is a product of its own
 * with M = 1 (faster on CPUs than folding the group into M). Sinks are asked by a second rotation of the
 * query, at its index in the cache: nothing stored is ever rewritten. Where the ring's rows are
 * encoded (`row_format.ts`), sinks and the latest tokens, the tail, are kept in f32 beside it: a row is
 * read from the tail until it is as old as the tail is long, then from the ring.
 *
 * @module
 */
import {
  type CacheTensor,
  type SlotLayout,
  tensorDims,
  windowRows,
} from "../../cache/layout.ts";
import type { AttentionShape } from "../decoder_shape.ts";
import { type GraphBuilder, MICROSOFT } from "../graph_builder.ts";
import type { AttentionInput, AttentionKind } from "./attention_kind.ts";
import type { Ring } from "./ring.ts";
import { ONE_TOKEN, type RowFormat } from "./row_format.ts";
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
  /** Added to scores, `[batch, 1, 1, chunk, sinks + tail + window + chunk]`. */
  mask: "mask",
  /** `[batch, chunk, heads + 2 kvHeads, headDim]`, int64: how tokens divide into conversations. */
  heads: "heads",
  /** Columns of the mask by tensor of values, all of an encoded ring in one, then the chunk; int64. */
  split: "split",
  /** Rows of each block of an encoded ring, if there are several; int64. */
  blocks: "blocks",
  /**
   * By layer, if layers keep different numbers of rows: 1 for the columns whose weights are summed up,
   * 0 for the others, `[batch, 1, 1, columns of the mask, 1]`.
   */
  near: "near",
} as const;

/** What of the context each layer has of its own, if layers keep different numbers of rows. */
const BY_LAYER = ["sinkPosition", "mask", "split", "blocks", "near"] as const;

/** Name of a layer's own input. */
export function layerInput(
  name: typeof BY_LAYER[number],
  layer: number,
): string {
  return `${CONTEXT[name]}_${layer}`;
}

/** Graph output: weights on {@linkcode CONTEXT.near} columns, `[batch, layers × heads, chunk, 1]`. */
export const MASS = "mass";

/**
 * The latest rows lose most by being encoded (KIVI keeps 32 to 128 of them, too); as many as a prompt's
 * chunk, so that queries see their own chunk as it is.
 */
const TAIL_ROWS = 64;

/** How an attention kind's rows lie and are kept. */
export interface RingShape {
  /** Parts that the window's ring is divided into. */
  readonly blocks: number;
  /** Default: f32. */
  readonly formats?: RowFormats;
  /** Rows of the tail, if rows are encoded. */
  readonly tailRows?: number;
  /** Whether layers keep different numbers of rows, each with a mask of its own. */
  readonly layered?: boolean;
}

/** Attention of `heads` queries over `kvHeads` keys and values; scores arrive scaled. */
export class GroupedQueryAttention implements AttentionKind {
  readonly name: string;
  readonly floats = "float32";
  /** Parts that the window's ring is divided into. */
  readonly blocks: number;
  /** Rows of the tail: the longest chunk; 0 if rows are kept as they are computed. */
  readonly tailRows: number;
  readonly #shape: AttentionShape;
  readonly #blocks: readonly number[];
  readonly #formats: RowFormats;
  readonly #layered: boolean;

  constructor(
    shape: AttentionShape,
    { blocks, formats = rowFormats(32), tailRows = TAIL_ROWS, layered = false }:
      RingShape,
  ) {
    this.#shape = shape;
    this.blocks = blocks;
    this.#blocks = Array.from({ length: blocks }, (_, block) => block);
    this.#formats = formats;
    this.#layered = layered;
    this.tailRows = this.encoded ? tailRows : 0;
    this.name = [
      `blocks${blocks}`,
      ...formats.name === "f32" ? [] : [formats.name],
      ...layered ? ["layered"] : [],
    ].join("-");
  }

  /** Whether rows are encoded, so that the latest are kept in a tail, too. */
  get encoded(): boolean {
    return this.#formats.values(0).codec !== null;
  }

  /** Whether our own kernel can read the rows, where they lie in one slot's memory. */
  get attended(): boolean {
    return this.#formats.attended && !this.#layered;
  }

  /** Columns of {@linkcode CONTEXT.split}. */
  split({ sinkRows, tailRows, blocks }: SlotLayout, chunk: number): number[] {
    const [first, ...others] = blocks as [number, ...number[]];
    return this.encoded
      ? [sinkRows + tailRows, windowRows({ blocks }), chunk]
      : [sinkRows + first, ...others, chunk];
  }

  /** Whether {@linkcode CONTEXT.blocks} is an input. */
  get divided(): boolean {
    return this.encoded && this.#blocks.length > 1;
  }

  tensors(layer: number): readonly CacheTensor[] {
    return [
      ...this.#keyTensors(this.#formats.keys(layer)),
      ...this.#valueTensors(this.#formats.values(layer)),
    ];
  }

  declareInputs(graph: GraphBuilder): void {
    const half = this.#shape.headDim / 2;
    graph.input(CONTEXT.position, "int64", ["batch", "chunk"]);
    graph.input(CONTEXT.cos, "float32", ["angles", half]);
    graph.input(CONTEXT.sin, "float32", ["angles", half]);
    graph.input(CONTEXT.heads, "int64", [4]);
    if (this.#formats.integers) {
      const one = graph.int64("int64_one", [1]);
      const chunk = graph.node("Gather", "chunk_length", [CONTEXT.heads, one]);
      graph.node("Equal", ONE_TOKEN, [chunk, one]);
    }
    if (!this.#layered) this.#declareRows(graph, null);
  }

  emit(
    graph: GraphBuilder,
    layer: number,
    { projections, outputDims }: AttentionInput,
  ): { output: string; rows: Record<string, string> } {
    const { kvHeads, heads, headDim } = this.#shape;
    const perKey = heads / kvHeads;
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
    const ring = (of: "keys" | "values"): Ring => ({
      kvHeads,
      group: perKey,
      headDim,
      blocks: this.#blocks.map((block) =>
        this.#ringTensors(of, formats[of], block)
          .map(({ name }) => `${name}_${layer}`)
      ),
      sizes: context("blocks"),
    });

    const [query, key, value] = this.#heads(graph, at, projections);
    const keyRows = this.#rotate(graph, at("keys"), key, CONTEXT.position);
    const rows: Record<string, string> = { keys: keyRows, values: value };
    const ask = (name: string, position: string) =>
      this.#rotate(graph, at(name), query, position);
    const group = (name: string, x: string, size: number) =>
      graph.node("Reshape", at(name), [
        x,
        graph.int64(`group${size}`, [0, kvHeads, size, -1, headDim]),
      ]);
    const q = group("q", ask("window_query", CONTEXT.position), perKey);
    const qs = group("qs", ask("sink_query", context("sinkPosition")), perKey);
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
      productTransposed("sink_scores", qs, `sink_keys_${layer}`),
      ...this.encoded
        ? [productTransposed("tail_scores", q, `tail_keys_${layer}`)]
        : [],
      ...formats.keys.scores(graph, at("window"), {
        query: q,
        ring: ring("keys"),
      }),
      productTransposed("chunk_scores", q, k),
    ], { attributes: { axis: -1 } });
    const masked = graph.node("Add", at("masked"), [scores, context("mask")]);
    const weights = graph.node("Softmax", at("weights"), [masked], {
      attributes: { axis: -1 },
    });
    if (this.#layered) {
      const near = product("near_weights", weights, context("near"));
      rows[MASS] = graph.node("Reshape", at("mass"), [
        near,
        graph.int64("mass_shape", [0, heads, -1, 1]),
      ]);
    }
    const exactWeights = this.encoded ? [at("exact_weights")] : [];
    const parts = this.encoded
      ? [at("stored_weights")]
      : this.#blocks.map((block) => at(`stored_weights${block}`));
    const own = at("chunk_weights");
    graph.nodes("Split", [...exactWeights, ...parts, own], [
      weights,
      context("split"),
    ], { attributes: { axis: -1 } });
    const mixed = graph.node("Sum", at("mixed"), [
      ...exactWeights.map((exact) =>
        product("exact_mix", exact, `exact_values_${layer}`)
      ),
      ...formats.values.mix(graph, at("stored_mix"), {
        weights: parts,
        ring: ring("values"),
      }),
      product("chunk_mix", own, v),
    ]);
    const tokens = graph.node("Transpose", at("mixed.tokens"), [mixed], {
      attributes: { perm: [0, 3, 1, 2, 4] },
    });
    const flat = graph.int64("flat_heads", outputDims(heads * headDim));
    return {
      output: graph.node("Reshape", at("attention"), [tokens, flat]),
      rows,
    };
  }

  /** Tensors of a layer's keys: the sinks, the tail, then for each block those of a row's parts. */
  #keyTensors(format: RowFormat): CacheTensor[] {
    const tail = this.encoded
      ? [this.#exactTensor("tail_keys", { rows: "keys", tail: true })]
      : [];
    return [
      this.#exactTensor("sink_keys", { rows: "keys", sinks: true }),
      ...tail,
      ...this.#blocks.flatMap((b) => this.#ringTensors("keys", format, b)),
    ];
  }

  /** Tensors of a layer's values: what is exact of them, then the blocks; without a tail the sinks are in the first. */
  #valueTensors(format: RowFormat): CacheTensor[] {
    const exact = { rows: "values", sinks: true, tail: true };
    return [
      ...this.encoded ? [this.#exactTensor("exact_values", exact)] : [],
      ...this.#blocks.flatMap((b) => this.#ringTensors("values", format, b)),
    ];
  }

  /** A tensor of rows as they are computed, outside of the ring. */
  #exactTensor(
    name: string,
    of: Pick<CacheTensor, "rows"> & { sinks?: boolean; tail?: boolean },
  ): CacheTensor {
    const { kvHeads: heads, headDim: width } = this.#shape;
    const none = { sinks: false, tail: false, block: null };
    const rows = { byRow: true, ...none, ...of };
    return { name, type: "float32", heads, width, ...rows };
  }

  /** Tensors of one block of the ring: one for each part of a row. */
  #ringTensors(
    rows: "keys" | "values",
    { codec, parts, byRow }: RowFormat,
    block: number,
  ): CacheTensor[] {
    const { kvHeads: heads, headDim } = this.#shape;
    const sinks = rows === "values" && !this.encoded && block === 0;
    return parts(headDim).map(({ suffix, type, width }, part) => ({
      name: `${rows}${suffix}${block}`,
      rows,
      type,
      heads,
      width,
      sinks,
      tail: false,
      block,
      byRow: byRow[rows] && width > 1,
      ...codec ? { encoded: { codec, part, rowWidth: headDim } } : {},
    }));
  }

  /** Declares what depends on how many rows there are: for all layers, or for one. */
  #declareRows(graph: GraphBuilder, layer: number | null): void {
    const name = (of: typeof BY_LAYER[number]) =>
      layer === null ? CONTEXT[of] : layerInput(of, layer);
    const rows = layer === null ? "rows" : `rows_of_${layer}`;
    graph.input(name("sinkPosition"), "int64", ["batch", "chunk"]);
    graph.input(name("mask"), "float32", ["batch", 1, 1, "chunk", rows]);
    graph.input(name("split"), "int64", ["parts"]);
    if (this.divided) {
      graph.input(name("blocks"), "int64", [this.#blocks.length]);
    }
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

function declareCache(
  graph: GraphBuilder,
  tensor: CacheTensor,
  { layer, layered }: { layer: number; layered: boolean },
): void {
  const { sinks, tail, block } = tensor;
  const rows = [
    ...sinks ? ["sinks"] : [],
    ...tail ? ["tail"] : [],
    ...block === null ? [] : [block],
    ...layered ? ["of", layer] : [],
  ];
  const [heads, ...lines] = tensorDims(tensor, `rows_${rows.join("_")}`);
  const shape = ["batch", heads, 1, ...lines];
  graph.input(`${tensor.name}_${layer}`, tensor.type, shape);
}
