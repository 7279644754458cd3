/**
 * Small `llama` models with random weights, on disk as GGUF, for tests of everything that runs one.
 *
 * Weights are scaled so that a test can fail: scores of attention have a standard deviation of
 * about 2.5, so a row that is missing or asked at a wrong position moves the logits by tenths, and
 * logits are of order 5.
 *
 * @module
 */
import { join } from "node:path";
import { dequantize } from "../../lib/weights/dequantize.ts";
import type { GgmlTypeName } from "../../lib/weights/ggml_types.ts";
import {
  float32Bytes,
  type GgufTensorSpec,
  writeGguf,
} from "../weights/gguf_writer.ts";
import { randomBlocks } from "../weights/random_blocks.ts";

/** Which matrix is of which type; `F32` where nothing is said. */
export type MatrixTypes = Partial<
  Record<
    | "embedding"
    | "query"
    | "key"
    | "value"
    | "attention"
    | "gate"
    | "up"
    | "down"
    | "head",
    GgmlTypeName
  >
>;

/** A model to write. */
export interface SmallModelOptions {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  /** Whether the head is the embedding table. */
  readonly tied: boolean;
  readonly types: MatrixTypes;
  readonly ropeBase: number;
  /** Rotated dimensions of a head; all if `null`. */
  readonly ropeDimensions: number | null;
  /** Linear scaling of positions; 1 is none. */
  readonly ropeScale: number;
  /** Whether the file has Llama 3's `rope_freqs.weight`. */
  readonly ropeFactors: boolean;
  readonly seed: number;
}

/** Grouped-query attention, f32, a head of its own. */
export const SMALL: SmallModelOptions = {
  layers: 2,
  hidden: 64,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  feedForward: 96,
  vocabulary: 96,
  tied: false,
  types: {},
  ropeBase: 10_000,
  ropeDimensions: null,
  ropeScale: 1,
  ropeFactors: false,
  seed: 1,
};

/** A model on disk, in a directory of its own that disposing removes. */
export interface SmallModel extends AsyncDisposable {
  readonly path: string;
  /** For what else a test keeps beside the model. */
  readonly directory: string;
  /** Stands for the file's hash. */
  readonly sha256: string;
}

/** Writes a model; `changes` replaces some of {@linkcode SMALL}. */
export async function writeSmallModel(
  changes: Partial<SmallModelOptions> = {},
): Promise<SmallModel> {
  const options = { ...SMALL, ...changes };
  const directory = await Deno.makeTempDir({ prefix: "everstream-small-" });
  const path = join(directory, "small.gguf");
  await writeGguf(path, {
    metadata: metadataOf(options),
    tensors: tensorsOf(options),
  });
  const dispose = () => Deno.remove(directory, { recursive: true });
  return {
    path,
    directory,
    sha256: "5".repeat(64),
    [Symbol.asyncDispose]: dispose,
  };
}

/** Metadata of a model. */
export function metadataOf(
  options: SmallModelOptions,
): Record<string, string | number> {
  return {
    "general.architecture": "llama",
    "llama.block_count": options.layers,
    "llama.embedding_length": options.hidden,
    "llama.attention.head_count": options.heads,
    "llama.attention.head_count_kv": options.kvHeads,
    "llama.attention.key_length": options.headDim,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.feed_forward_length": options.feedForward,
    "llama.context_length": 2048,
    "llama.rope.freq_base": options.ropeBase,
    "llama.rope.dimension_count": options.ropeDimensions ?? options.headDim,
    ...(options.ropeScale === 1 ? {} : {
      "llama.rope.scaling.type": "linear",
      "llama.rope.scaling.factor": options.ropeScale,
    }),
  };
}

/** Tensors of a model. */
export function tensorsOf(options: SmallModelOptions): GgufTensorSpec[] {
  const { hidden, heads, kvHeads, headDim, feedForward, vocabulary, types } =
    options;
  const random = mulberry32(options.seed);
  const vector = (
    name: string,
    length: number,
    low: number,
    high: number,
  ): GgufTensorSpec => ({
    name,
    shape: [length],
    type: "F32",
    data: float32Bytes(
      Array.from({ length }, () => low + (high - low) * random()),
    ),
  });
  const matrix = (
    name: string,
    [rows, cols]: [rows: number, cols: number],
    role: keyof MatrixTypes,
    gain: number,
  ): GgufTensorSpec => {
    const type = types[role] ?? "F32";
    const data = weights(type, rows * cols, gain / Math.sqrt(cols), random);
    return { name, shape: [rows, cols], type, data };
  };
  const tensors = [
    matrix("token_embd.weight", [vocabulary, hidden], "embedding", 2),
  ];
  for (let layer = 0; layer < options.layers; layer++) {
    const at = (part: string) => `blk.${layer}.${part}.weight`;
    tensors.push(
      vector(at("attn_norm"), hidden, 0.5, 1.5),
      matrix(at("attn_q"), [heads * headDim, hidden], "query", 1.6),
      matrix(at("attn_k"), [kvHeads * headDim, hidden], "key", 1.6),
      matrix(at("attn_v"), [kvHeads * headDim, hidden], "value", 1),
      matrix(at("attn_output"), [hidden, heads * headDim], "attention", 1),
      vector(at("ffn_norm"), hidden, 0.5, 1.5),
      matrix(at("ffn_gate"), [feedForward, hidden], "gate", 1),
      matrix(at("ffn_up"), [feedForward, hidden], "up", 1),
      matrix(at("ffn_down"), [hidden, feedForward], "down", 1),
    );
  }
  tensors.push(vector("output_norm.weight", hidden, 0.5, 1.5));
  if (!options.tied) {
    tensors.push(matrix("output.weight", [vocabulary, hidden], "head", 2));
  }
  if (options.ropeFactors) {
    const half = (options.ropeDimensions ?? headDim) / 2;
    tensors.push(vector("rope_freqs.weight", half, 1, 8));
  }
  return tensors;
}

/** Random weights of a type whose root mean square is about `rms` (exact for F32). */
function weights(
  type: GgmlTypeName,
  count: number,
  rms: number,
  random: () => number,
): Uint8Array {
  if (type === "F32") {
    const bound = rms * Math.sqrt(3);
    return float32Bytes(
      Array.from({ length: count }, () => (random() * 2 - 1) * bound),
    );
  }
  const draw = (exponent: number) =>
    randomBlocks(type, count, { random, exponents: [exponent, exponent] });
  const values = dequantize(type, draw(15), count);
  const found = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / count);
  return draw(15 + Math.round(Math.log2(rms / found)));
}

/** Numbers in [0, 1) that are the same for the same seed. */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Positions below `count` at which messages of up to `longest` tokens begin. */
export function randomBoundaries(
  count: number,
  longest: number,
  seed = 7,
): number[] {
  const random = mulberry32(seed);
  const boundaries: number[] = [];
  for (let at = 0; at < count; at += 1 + Math.floor(random() * longest)) {
    boundaries.push(at);
  }
  return boundaries;
}

/** Random token ids. */
export function randomTokens(
  count: number,
  vocabulary = SMALL.vocabulary,
  seed = 7,
): number[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => Math.floor(random() * vocabulary));
}
