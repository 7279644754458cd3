/**
 * The `llama` decoder in f64 by its definition, to compare engines with.
 *
 * It keeps the unrotated key of every token that it ever saw. The query of position p attends
 * exactly R(p) = {0 … S−1} ∪ {max(S, p−W+1) … p}, and every key of R(p) is rotated anew, by its
 * index in R(p); the query by the last one. Where windows begin at messages, R(p) past capacity
 * lacks what lies before the first of them. Nothing here knows of rings, masks or chunks.
 *
 * @module
 */
import { dequantize } from "../../lib/weights/dequantize.ts";
import { type GgufFile, openGguf } from "../../lib/weights/gguf.ts";

interface Layer {
  readonly attentionNorm: Float64Array;
  readonly query: Float64Array;
  readonly key: Float64Array;
  readonly value: Float64Array;
  readonly attentionOutput: Float64Array;
  readonly feedForwardNorm: Float64Array;
  readonly gate: Float64Array;
  readonly up: Float64Array;
  readonly down: Float64Array;
}

interface Numbers {
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly epsilon: number;
  /** Radians per position of pair i. */
  readonly frequencies: Float64Array;
}

/** A model's weights in f64. */
export class DecoderReference {
  readonly vocabulary: number;
  readonly #numbers: Numbers;
  readonly #layers: readonly Layer[];
  readonly #embedding: Float64Array;
  readonly #norm: Float64Array;
  readonly #head: Float64Array;

  private constructor(
    numbers: Numbers,
    layers: readonly Layer[],
    ends: { embedding: Float64Array; norm: Float64Array; head: Float64Array },
  ) {
    this.#numbers = numbers;
    this.#layers = layers;
    this.#embedding = ends.embedding;
    this.#norm = ends.norm;
    this.#head = ends.head;
    this.vocabulary = ends.embedding.length / numbers.hidden;
  }

  /** Reads a GGUF file. */
  static async read(path: string): Promise<DecoderReference> {
    using file = await openGguf(path);
    const tensor = (name: string) => readTensor(file, `${name}.weight`);
    const layers: Layer[] = [];
    for (let i = 0; i < file.metadata.number("llama.block_count"); i++) {
      const part = (name: string) => tensor(`blk.${i}.${name}`);
      layers.push({
        attentionNorm: await part("attn_norm"),
        query: await part("attn_q"),
        key: await part("attn_k"),
        value: await part("attn_v"),
        attentionOutput: await part("attn_output"),
        feedForwardNorm: await part("ffn_norm"),
        gate: await part("ffn_gate"),
        up: await part("ffn_up"),
        down: await part("ffn_down"),
      });
    }
    const embedding = await tensor("token_embd");
    const head = file.tensors.has("output.weight")
      ? await tensor("output")
      : embedding;
    const ends = { embedding, norm: await tensor("output_norm"), head };
    return new DecoderReference(await readNumbers(file), layers, ends);
  }

  /** Begins a conversation; a window of `Infinity` is full attention. */
  start(policy: ReferencePolicy): ReferenceConversation {
    return new ReferenceConversation(
      policy,
      this.#layers.length,
      (token, attend) => {
        const { hidden } = this.#numbers;
        const x = this.#embedding.slice(token * hidden, (token + 1) * hidden);
        for (const [i, layer] of this.#layers.entries()) {
          this.#addLayer(
            x,
            layer,
            attend[i]!,
          );
        }
        return multiply(
          this.#head,
          normalize(x, this.#norm, this.#numbers.epsilon),
        );
      },
    );
  }

  #addLayer(x: Float64Array, layer: Layer, past: Past): void {
    const { epsilon } = this.#numbers;
    const normed = normalize(x, layer.attentionNorm, epsilon);
    past.keys.push(multiply(layer.key, normed));
    past.values.push(multiply(layer.value, normed));
    const mixed = attention(this.#numbers, multiply(layer.query, normed), past);
    add(x, multiply(layer.attentionOutput, mixed));
    const y = normalize(x, layer.feedForwardNorm, epsilon);
    const gate = multiply(layer.gate, y);
    const up = multiply(layer.up, y);
    add(
      x,
      multiply(layer.down, gate.map((g, i) => g / (1 + Math.exp(-g)) * up[i]!)),
    );
  }
}

/** What a conversation keeps. */
export interface ReferencePolicy {
  readonly sinks: number;
  readonly window: number;
  /** Positions at which messages begin, if windows begin at them. */
  readonly boundaries?: readonly number[];
}

/** What a layer has seen, and which of it the current query attends. */
interface Past {
  /** Unrotated keys by position. */
  readonly keys: Float64Array[];
  readonly values: Float64Array[];
  /** R(p), ascending. */
  attended: readonly number[];
}

/** One conversation. */
export class ReferenceConversation {
  readonly #policy: ReferencePolicy;
  readonly #past: Past[];
  readonly #run: (token: number, past: Past[]) => Float64Array;
  #seen = 0;

  constructor(
    policy: ReferencePolicy,
    layers: number,
    run: (token: number, past: Past[]) => Float64Array,
  ) {
    this.#policy = policy;
    this.#past = Array.from(
      { length: layers },
      () => ({ keys: [], values: [], attended: [] }),
    );
    this.#run = run;
  }

  /** Appends a token; gives its logits. */
  append(token: number): Float64Array {
    const attended = attendedPositions(this.#seen++, this.#policy);
    for (const past of this.#past) past.attended = attended;
    return this.#run(token, this.#past);
  }

  /** Appends tokens; gives the logits of each. */
  appendAll(tokens: readonly number[]): Float64Array[] {
    return tokens.map((token) => this.append(token));
  }
}

/** R(p): the positions that the query of position `p` attends, ascending. */
export function attendedPositions(
  p: number,
  { sinks, window, boundaries = [] }: ReferencePolicy,
): number[] {
  const positions: number[] = [];
  for (let q = 0; q < Math.min(sinks, p + 1); q++) positions.push(q);
  let oldest = Math.max(sinks, p - window + 1);
  if (oldest > sinks) { // something has left
    const later = boundaries.filter((start) => start >= oldest && start <= p);
    if (later.length > 0) oldest = Math.min(...later);
  }
  for (let q = oldest; q <= p; q++) positions.push(q);
  return positions;
}

async function readTensor(file: GgufFile, name: string): Promise<Float64Array> {
  const { type, shape } = file.tensors.get(name)!;
  const count = shape.reduce((product, size) => product * size, 1);
  return Float64Array.from(dequantize(type, await file.read(name), count));
}

async function readNumbers(file: GgufFile): Promise<Numbers> {
  const number = (key: string) => file.metadata.number(`llama.${key}`);
  const headDim = number("attention.key_length");
  const rotated = number("rope.dimension_count");
  const factors = file.tensors.has("rope_freqs.weight")
    ? await readTensor(file, "rope_freqs.weight")
    : new Float64Array(rotated / 2).fill(1);
  const scale = file.metadata.optionalNumber("llama.rope.scaling.factor") ?? 1;
  return {
    hidden: number("embedding_length"),
    heads: number("attention.head_count"),
    kvHeads: number("attention.head_count_kv"),
    headDim,
    epsilon: number("attention.layer_norm_rms_epsilon"),
    frequencies: factors.map((factor, i) =>
      number("rope.freq_base") ** (-2 * i / rotated) / factor / scale
    ),
  };
}

/** Softmax attention over R(p), each head of `query` over its group's keys. */
function attention(of: Numbers, query: Float64Array, past: Past): Float64Array {
  const { heads, kvHeads, headDim } = of;
  const { attended } = past;
  const keys = attended.map((position, index) =>
    rotate(of, past.keys[position]!, index)
  );
  const asked = rotate(of, query, attended.length - 1);
  const mixed = new Float64Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const kv = Math.floor(head / (heads / kvHeads)) * headDim;
    const at = head * headDim;
    const scores = keys.map((key) => {
      let score = 0;
      for (let d = 0; d < headDim; d++) score += asked[at + d]! * key[kv + d]!;
      return score / Math.sqrt(headDim);
    });
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, position] of attended.entries()) {
      const value = past.values[position]!;
      const weight = weights[i]! / total;
      for (let d = 0; d < headDim; d++) {
        mixed[at + d]! += weight * value[kv + d]!;
      }
    }
  }
  return mixed;
}

/** Rotates dimensions 2i and 2i + 1 of every head, GGUF's order for this architecture. */
function rotate(
  of: Numbers,
  rows: Float64Array,
  position: number,
): Float64Array {
  const rotated = rows.slice();
  for (const [i, frequency] of of.frequencies.entries()) {
    const cos = Math.cos(position * frequency);
    const sin = Math.sin(position * frequency);
    for (let at = 2 * i; at < rows.length; at += of.headDim) {
      rotated[at] = rows[at]! * cos - rows[at + 1]! * sin;
      rotated[at + 1] = rows[at]! * sin + rows[at + 1]! * cos;
    }
  }
  return rotated;
}

/** `matrix [rows, x.length] · x` */
function multiply(matrix: Float64Array, x: Float64Array): Float64Array {
  const cols = x.length;
  const product = new Float64Array(matrix.length / cols);
  for (let r = 0, at = 0; r < product.length; r++) {
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += matrix[at++]! * x[c]!;
    product[r] = sum;
  }
  return product;
}

function normalize(
  x: Float64Array,
  weight: Float64Array,
  epsilon: number,
): Float64Array {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  const factor = 1 / Math.sqrt(mean + epsilon);
  return x.map((value, i) => value * factor * weight[i]!);
}

function add(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i]! += y[i]!;
}
