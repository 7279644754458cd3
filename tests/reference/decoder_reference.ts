/**
 * The `llama` decoder in f64 by its definition, to compare engines with.
 *
 * It keeps the unrotated key of every token that it ever saw. The query of position p attends
 * exactly R(p) = {0 … S−1} ∪ {max(S, p−W+1) … p}, and every key of R(p) is rotated anew, by its
 * index in R(p); the query by the last one. Where windows begin at messages, R(p) past capacity
 * lacks what lies before the first of them. Where rows are kept in fewer bits, a key behind the sinks
 * is rotated by its position, encoded and decoded once its query is `tailRows` behind it, and then rotated
 * on to its index; a value likewise, without rotations. Nothing here knows of rings, masks or chunks.
 *
 * @module
 */
import { dequantize } from "../../lib/weights/dequantize.ts";
import { type GgufFile, openGguf } from "../../lib/weights/gguf.ts";
import { readBack, type RowBits, type RowDefinition } from "./row_reference.ts";

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

  /**
   * Begins a conversation; a window of `Infinity` is full attention.
   *
   * @param rows how its rows are kept; exactly, unless told
   */
  start(
    policy: ReferencePolicy,
    rows: RowDefinition = EXACT,
  ): ReferenceConversation {
    return new ReferenceConversation(
      { policy, rows },
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
    past.append(
      this.#numbers,
      multiply(layer.key, normed),
      multiply(layer.value, normed),
    );
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

const EXACT: RowDefinition = {
  keys: () => 32,
  values: () => 32,
  tailRows: Infinity,
};

/**
 * How near the middle of two codes a value may be, as a share of the largest code, before the rounding
 * of f32, or of products in integers, may decide which of them it gets.
 */
const ROUNDING = 2e-6;

/** A row of all heads, as it is and as it is read once it has left the tail. */
interface PastRow {
  readonly exact: Float64Array;
  readonly kept: Float64Array;
}

/** What a layer has seen, and which of it the current query attends. */
class Past {
  /** Unrotated keys by position. */
  readonly keys: PastRow[] = [];
  readonly values: PastRow[] = [];
  /** R(p), ascending. */
  attended: readonly number[] = [];
  /** Weights of the current query by head, as many as are attended. */
  weights: Float64Array[] = [];
  /** Which of it is read as it is. */
  exact: (position: number) => boolean = () => true;
  /** Positions of rows that rounding may have decided. */
  readonly doubted: number[] = [];
  readonly #bits: { keys: RowBits; values: RowBits };

  constructor(bits: { keys: RowBits; values: RowBits }) {
    this.#bits = bits;
  }

  /** Adds a token's row. */
  append(of: Numbers, key: Float64Array, value: Float64Array): void {
    const position = this.keys.length;
    const rotated = inHalves(of, rotate(of, key, position));
    const kept = inPairs(of, this.#keep(of, rotated, this.#bits.keys));
    this.keys.push({ exact: key, kept: rotate(of, kept, -position) });
    const keptValue = this.#keep(of, value, this.#bits.values);
    this.values.push({ exact: value, kept: keptValue });
  }

  #keep(
    { headDim }: Numbers,
    row: Float64Array,
    bits: RowBits,
  ): Float64Array {
    const kept = row.slice();
    for (let at = 0; at < row.length; at += headDim) {
      const read = readBack(row.slice(at, at + headDim), bits);
      kept.set(read.row, at);
      if (bits === 16 || read.doubt >= ROUNDING * 2 ** (bits - 1)) continue;
      this.doubted.push(this.values.length);
    }
    return kept;
  }
}

/** One conversation. */
export class ReferenceConversation {
  readonly #policy: ReferencePolicy;
  /** Of layers that keep something else. */
  readonly #own = new Map<number, ReferencePolicy>();
  readonly #tailRows: number;
  readonly #past: Past[];
  readonly #run: (token: number, past: Past[]) => Float64Array;
  #seen = 0;

  constructor(
    { policy, rows }: { policy: ReferencePolicy; rows: RowDefinition },
    layers: number,
    run: (token: number, past: Past[]) => Float64Array,
  ) {
    this.#policy = policy;
    this.#tailRows = rows.tailRows;
    this.#past = Array.from(
      { length: layers },
      (_, layer) =>
        new Past({ keys: rows.keys(layer), values: rows.values(layer) }),
    );
    this.#run = run;
  }

  /** Appends a token; gives its logits. */
  append(token: number): Float64Array {
    const p = this.#seen++;
    for (const [layer, past] of this.#past.entries()) {
      const policy = this.#own.get(layer) ?? this.#policy;
      past.attended = attendedPositions(p, policy);
      past.exact = (q) => q < this.#policy.sinks || q > p - this.#tailRows;
    }
    return this.#run(token, this.#past);
  }

  /** From now on these layers keep something else. */
  cut(layers: readonly number[], policy: ReferencePolicy): void {
    for (const layer of layers) this.#own.set(layer, policy);
  }

  /** Weights that the last token's query of each layer and head gave to positions: see {@linkcode Past}. */
  get weights(): readonly (readonly Float64Array[])[] {
    return this.#past.map(({ weights }) => weights);
  }

  /** Appends tokens; gives the logits of each. */
  appendAll(tokens: readonly number[]): Float64Array[] {
    return tokens.map((token) => this.append(token));
  }

  /** Likewise, with `null` for those that the rounding of f32 may make others: it decides a code. */
  expect(tokens: readonly number[]): (Float64Array | null)[] {
    return tokens.map((token) => {
      const logits = this.append(token);
      return this.#isDoubted(this.#seen - 1) ? null : logits;
    });
  }

  /** Whether such a row of any layer can have come to a token's logits, through rows of others. */
  #isDoubted(p: number): boolean {
    const reach = this.#past.length * this.#policy.window;
    return this.#past.some(({ doubted }) =>
      doubted.some((q) =>
        q >= this.#policy.sinks && q > p - reach && q <= p - this.#tailRows
      )
    );
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
  const rowOf = (position: number) => past.exact(position) ? "exact" : "kept";
  const keys = attended.map((position, index) =>
    rotate(of, past.keys[position]![rowOf(position)], index)
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
    past.weights[head] = Float64Array.from(weights, (weight) => weight / total);
    for (const [i, position] of attended.entries()) {
      const value = past.values[position]![rowOf(position)];
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

/** Each head's pairs 2i and 2i + 1 at i and i + headDim / 2, the order in which rows are kept. */
function inHalves({ headDim }: Numbers, rows: Float64Array): Float64Array {
  return rows.map((_, at) => {
    const d = at % headDim;
    const [pair, second] = [d % (headDim / 2), d < headDim / 2 ? 0 : 1];
    return rows[at - d + 2 * pair + second]!;
  });
}

/** What {@linkcode inHalves} was given. */
function inPairs({ headDim }: Numbers, rows: Float64Array): Float64Array {
  return rows.map((_, at) => {
    const d = at % headDim;
    return rows[at - d + Math.floor(d / 2) + (d % 2) * (headDim / 2)]!;
  });
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
