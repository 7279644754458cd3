/**
 * Writes a decoder as an ONNX graph: embeddings, angles, mask and every layer's cache in; logits
 * and each token's new rows out. Batch and chunk sizes are free; all else is fixed.
 *
 * Inputs: `embeddings` f32 `[batch × chunk, hidden]`, `logit_tokens` int64 `[tokens]` (indices into
 * batch × chunk whose logits are wanted), those that the attention kind declares, and each layer's
 * cache tensors.
 * Outputs: `logits` f32 `[tokens, vocabulary]` and, for each kind of row, f32
 * `[batch, Σ heads, chunk, width]` over all layers that have it: few and small, since every value that crosses into
 * JavaScript costs.
 *
 * @module
 */
import type { GgufFile } from "../weights/gguf.ts";
import type { AttentionKind } from "./attention/attention_kind.ts";
import type { DecoderShape } from "./decoder_shape.ts";
import { feedForward } from "./feed_forward.ts";
import { float, type GraphBuilder, MICROSOFT } from "./graph_builder.ts";
import { linear, type LinearLowering, tokenDims } from "./linear.ts";
import type { LayerWeights, ModelFamily } from "./model_family.ts";

/** Adds the whole decoder to `graph`. */
export async function addTransformer(
  graph: GraphBuilder,
  source: { file: GgufFile; family: ModelFamily; shape: DecoderShape },
  lowering: { attention: AttentionKind; linear: LinearLowering },
): Promise<void> {
  const { file, family, shape } = source;
  const { hidden } = shape;
  const embeddings = graph.input("embeddings", graph.floats, ["all", hidden]);
  const dims = tokenDims(lowering.linear, -1, hidden);
  const stream = dims.length === 2
    ? embeddings
    : graph.node("Reshape", "stream", [
      embeddings,
      graph.int64("stream_dims", dims),
    ]);
  lowering.attention.declareInputs(graph);
  graph.input("logit_tokens", "int64", ["tokens"]);

  const rows = new Map<string, string[]>();
  let residual: Residual = { stream, added: null };
  for (let layer = 0; layer < shape.layers; layer++) {
    const weights = await family.readLayer(file, shape, layer);
    residual = await addLayer(
      graph,
      { layer, weights, residual, shape, rows },
      lowering,
    );
  }
  const { norm, head } = await family.readHead(file, shape);
  const [normed] = addNorm(graph, "final_norm", norm, residual, shape);
  const wanted = graph.node("Gather", "wanted", [normed, "logit_tokens"], {
    attributes: { axis: 0 },
  });
  const given = tokenDims(lowering.linear, "tokens", shape.vocabulary);
  const plain = given.length === 2;
  const scores = graph.floats === "float32" && plain ? "logits" : "scores";
  await linear(graph, lowering.linear, wanted, scores, [head]);
  if (!plain) {
    const dims = graph.int64("logit_dims", [-1, shape.vocabulary]);
    graph.node("Reshape", "logits", [scores, dims]);
  } else if (scores !== "logits") graph.cast("logits", scores, "float32");
  graph.output("logits", "float32", ["tokens", shape.vocabulary]);
  for (const [name, parts] of rows) {
    graph.node("Concat", name, parts, { attributes: { axis: 1 } });
    graph.output(name, "float32", [
      "batch",
      `${name}_heads`,
      "chunk",
      "width",
    ]);
  }
}

/** The residual stream and what is still to be added to it (`null` before the first layer). */
interface Residual {
  stream: string;
  added: string | null;
}

async function addLayer(
  graph: GraphBuilder,
  of: {
    layer: number;
    weights: LayerWeights;
    residual: Residual;
    shape: DecoderShape;
    rows: Map<string, string[]>;
  },
  lowering: { attention: AttentionKind; linear: LinearLowering },
): Promise<Residual> {
  const { layer, weights, shape } = of;
  const at = (name: string) => `layer${layer}.${name}`;
  const [x, stream] = addNorm(
    graph,
    at("attention_norm"),
    weights.attentionNorm,
    of.residual,
    shape,
  );
  const projections = await linear(
    graph,
    lowering.linear,
    x,
    at("projections"),
    [weights.query, weights.key, weights.value],
  );
  const { output, rows } = lowering.attention.emit(graph, layer, {
    projections,
    outputDims: (width) => tokenDims(lowering.linear, -1, width),
  });
  for (const [name, value] of Object.entries(rows)) {
    of.rows.set(name, [...of.rows.get(name) ?? [], value]);
  }
  const attended = await linear(
    graph,
    lowering.linear,
    output,
    at("attention_output"),
    [weights.attentionOutput],
  );
  const [y, middle] = addNorm(
    graph,
    at("feed_forward_norm"),
    weights.feedForwardNorm,
    { stream, added: attended },
    shape,
  );
  const added = await feedForward(
    graph,
    lowering.linear,
    y,
    at("feed_forward"),
    weights,
  );
  return { stream: middle, added };
}

/** Adds what is pending to the stream and normalises it; gives the normed value and the stream. */
function addNorm(
  graph: GraphBuilder,
  name: string,
  weight: Float32Array,
  residual: Residual,
  shape: DecoderShape,
): [normed: string, stream: string] {
  const gamma = graph.constant(
    `${name}.weight`,
    weight as Float32Array<ArrayBuffer>,
  );
  const epsilon = float(shape.rmsEpsilon);
  if (residual.added === null) {
    const normed = graph.node("SimplifiedLayerNormalization", name, [
      residual.stream,
      gamma,
    ], {
      attributes: { epsilon, axis: -1 },
    });
    return [normed, residual.stream];
  }
  const stream = `${name}.stream`;
  graph.nodes(
    "SkipSimplifiedLayerNormalization",
    [name, "", "", stream],
    [residual.stream, residual.added, gamma],
    { domain: MICROSOFT, attributes: { epsilon } },
  );
  return [name, stream];
}
