/**
 * The `llama` architecture as GGUF files hold it: RMSNorm, grouped-query attention with rotary
 * positions, SwiGLU, embeddings tied to the head where the file has no `output.weight`.
 *
 * GGUF stores the rows of this architecture's query and key matrices so that dimensions 2i and
 * 2i + 1 of a head rotate together. Ours rotate i and i + d/2, so rows are put in that order here
 * (those that do not rotate at all, too: they are pairs with an angle of 0).
 *
 * @module
 */
import { dequantize } from "../../weights/dequantize.ts";
import type { GgufFile } from "../../weights/gguf.ts";
import type { Metadata } from "../../weights/metadata.ts";
import type { CacheShape, DecoderShape, RopeShape } from "../decoder_shape.ts";
import { type Matrix, readMatrix, reorderRows } from "../matrix.ts";
import type { LayerWeights, ModelFamily } from "../model_family.ts";

/** Llama, SmolLM, Mistral and others of their architecture. */
export const LLAMA: ModelFamily = {
  architectures: ["llama"],
  embedding: "token_embd.weight",

  readCacheShape(metadata: Metadata): CacheShape {
    const count = (key: string) => readCount(metadata, key);
    const hidden = count("embedding_length");
    const heads = count("attention.head_count");
    const kvHeads = metadata.optionalNumber("llama.attention.head_count_kv") ??
      heads;
    const headDim = metadata.optionalNumber("llama.attention.key_length") ??
      hidden / heads;
    if (!Number.isInteger(headDim / 2) || heads % kvHeads !== 0) {
      throw new TypeError(
        `Cannot build attention of ${heads} heads over ${kvHeads} of ${hidden} values: a head must ` +
          `have an even number of values, and "llama.attention.head_count" be a multiple of "head_count_kv"`,
      );
    }
    return {
      layers: count("block_count"),
      heads,
      kvHeads: positive("llama.attention.head_count_kv", kvHeads),
      headDim: positive("llama.attention.key_length", headDim),
    };
  },

  async readShape(file: GgufFile): Promise<DecoderShape> {
    const { metadata } = file;
    const count = (key: string) => readCount(metadata, key);
    const cache = LLAMA.readCacheShape(metadata);
    const embedding = file.tensors.get(LLAMA.embedding);
    return {
      ...cache,
      hidden: count("embedding_length"),
      feedForward: count("feed_forward_length"),
      vocabulary: positive(
        `rows of "${LLAMA.embedding}"`,
        embedding?.shape[0] ?? 0,
      ),
      rmsEpsilon: metadata.number("llama.attention.layer_norm_rms_epsilon"),
      contextLength: count("context_length"),
      rope: await readRope(file, cache.headDim),
    };
  },

  async readLayer(file, shape, layer): Promise<LayerWeights> {
    const { hidden, heads, kvHeads, headDim, feedForward } = shape;
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    const matrix = (part: string, rows: number, cols: number) =>
      readMatrix(file, name(part), { rows, cols });
    const rotated = async (part: string, count: number): Promise<Matrix> =>
      reorderRows(
        await matrix(part, count * headDim, hidden),
        rotateHalfOrder(count, headDim),
      );
    return {
      attentionNorm: await readVector(file, name("attn_norm"), hidden),
      query: {
        ...await rotated("attn_q", heads),
        factor: 1 / Math.sqrt(headDim),
      },
      key: await rotated("attn_k", kvHeads),
      value: await matrix("attn_v", kvHeads * headDim, hidden),
      attentionOutput: await matrix("attn_output", hidden, heads * headDim),
      feedForwardNorm: await readVector(file, name("ffn_norm"), hidden),
      gate: await matrix("ffn_gate", feedForward, hidden),
      up: await matrix("ffn_up", feedForward, hidden),
      down: await matrix("ffn_down", hidden, feedForward),
    };
  },

  async readHead(file, shape): Promise<{ norm: Float32Array; head: Matrix }> {
    const name = file.tensors.has("output.weight")
      ? "output.weight"
      : LLAMA.embedding;
    return {
      norm: await readVector(file, "output_norm.weight", shape.hidden),
      head: await readMatrix(file, name, {
        rows: shape.vocabulary,
        cols: shape.hidden,
      }),
    };
  },
};

/** Row order that turns interleaved pairs (2i, 2i + 1) of each head into (i, i + d/2). */
export function rotateHalfOrder(heads: number, headDim: number): Int32Array {
  const half = headDim / 2;
  return Int32Array.from({ length: heads * headDim }, (_, row) => {
    const d = row % headDim;
    return row - d + (d < half ? 2 * d : 2 * (d - half) + 1);
  });
}

async function readRope(file: GgufFile, headDim: number): Promise<RopeShape> {
  const { metadata } = file;
  const scaling = metadata.optionalString("llama.rope.scaling.type") ?? "none";
  if (scaling !== "none" && scaling !== "linear") {
    throw new TypeError(
      `Cannot scale positions by "${scaling}" ("llama.rope.scaling.type"): ` +
        `"none", "linear" and Llama 3's factors are supported`,
    );
  }
  const dimensions = metadata.optionalNumber("llama.rope.dimension_count") ??
    headDim;
  if (dimensions % 2 !== 0 || dimensions < 2 || dimensions > headDim) {
    throw new TypeError(
      `Cannot rotate ${dimensions} dimensions of ${headDim} ("llama.rope.dimension_count")`,
    );
  }
  return {
    dimensions,
    base: above0(
      "llama.rope.freq_base",
      metadata.optionalNumber("llama.rope.freq_base") ?? 10_000,
    ),
    scale: scaling === "linear"
      ? above0(
        "llama.rope.scaling.factor",
        metadata.number("llama.rope.scaling.factor"),
      )
      : 1,
    ...(file.tensors.has("rope_freqs.weight")
      ? { factors: await readVector(file, "rope_freqs.weight", dimensions / 2) }
      : {}),
  };
}

async function readVector(
  file: GgufFile,
  name: string,
  length: number,
): Promise<Float32Array> {
  const info = file.tensors.get(name);
  if (!info || info.shape.length !== 1 || info.shape[0] !== length) {
    const found = info ? `[${info.shape.join(", ")}]` : "missing";
    throw new TypeError(
      `Cannot use tensor "${name}": [${length}] is needed, it is ${found}`,
    );
  }
  return dequantize(info.type, await file.read(name), length);
}

function readCount(metadata: Metadata, key: string): number {
  return positive(`llama.${key}`, metadata.number(`llama.${key}`));
}

function positive(what: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new TypeError(
      `Cannot use ${what}: ${value} is no positive whole number`,
    );
  }
  return value;
}

function above0(what: string, value: number): number {
  if (!Number.isFinite(value) || value <= 0) {
    throw new TypeError(`Cannot use ${what}: ${value} is no positive number`);
  }
  return value;
}
