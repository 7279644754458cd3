/**
 * The decoder on ONNX Runtime: builds a run's inputs from tokens and positions, and writes the new
 * rows it gives into the ring.
 *
 * @module
 */
import type { SlotLayout } from "../cache/layout.ts";
import { RingMemory } from "../cache/ring_memory.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import type { EngineSession, EngineTensor } from "../engine/engine.ts";
import { CONTEXT } from "../graph/attention/attention_kind.ts";
import type { DecoderPlan } from "../graph/convert.ts";
import { ropeFrequencies } from "../graph/decoder_shape.ts";
import type { DecodeChunk, Decoder } from "./decoder.ts";
import type { EmbeddingTable } from "./embedding_table.ts";

/** One conversation's place. */
interface Slot {
  policy: SinkWindow | null;
  seen: number;
  /** The slot's part of every cache tensor, by graph input. */
  cache: Readonly<Record<string, EngineTensor>>;
}

/** A decoder of one graph. */
export class OnnxDecoder implements Decoder {
  readonly vocabulary: number;
  readonly slots: number;
  readonly chunk: number;
  readonly slotBytes: number;
  readonly #session: EngineSession;
  readonly #embeddings: EmbeddingTable;
  readonly #heads: readonly number[];
  readonly #frequencies: Float64Array;
  readonly #memory: RingMemory;
  readonly #places: readonly Slot[];

  /** Claims the caches of all slots. */
  constructor(
    model: {
      plan: DecoderPlan;
      session: EngineSession;
      embeddings: EmbeddingTable;
    },
    options: { layout: SlotLayout; slots: number; chunk: number },
  ) {
    const { shape, attention } = model.plan;
    this.vocabulary = shape.vocabulary;
    this.slots = options.slots;
    this.chunk = options.chunk;
    this.#session = model.session;
    this.#embeddings = model.embeddings;
    this.#heads = [1, 1, shape.heads + 2 * shape.kvHeads, shape.headDim];
    this.#frequencies = ropeFrequencies(shape.rope);
    this.#memory = new RingMemory(
      { layers: shape.layers, tensors: attention.tensors },
      options.layout,
      options.slots,
    );
    this.slotBytes = this.#memory.slotBytes;
    this.#places = Array.from({ length: options.slots }, (_, slot) => ({
      policy: null,
      seen: 0,
      cache: this.#cacheOf(slot),
    }));
  }

  get room(): { sinks: number; window: number } {
    return {
      sinks: this.#memory.layout.sinkRows,
      window: this.#memory.layout.windowRows,
    };
  }

  get cacheBytes(): number {
    return this.#memory.bytes;
  }

  open(slot: number, policy: SinkWindow): void {
    const { sinkRows, windowRows } = this.#memory.layout;
    if (policy.sinks > sinkRows || policy.window > windowRows) {
      throw new RangeError(
        `Cannot keep ${policy.sinks} sinks and a window of ${policy.window} tokens: ` +
          `a slot has room for ${sinkRows} and ${windowRows}`,
      );
    }
    const place = this.#place(slot);
    this.#memory.reset(slot);
    place.cache = this.#cacheOf(slot);
    place.policy = policy;
    place.seen = 0;
  }

  seen(slot: number): number {
    return this.#place(slot).seen;
  }

  rewind(slot: number, count: number): void {
    const place = this.#place(slot);
    const { policy, seen } = place;
    const whole = Number.isInteger(count) && count >= 0 && count <= seen;
    if (!policy || !whole || (count < seen && seen > policy.capacity)) {
      throw new RangeError(
        `Cannot rewind slot ${slot} to ${count} tokens: it has seen ${seen} and ` +
          `keeps all of them only up to ${policy?.capacity ?? 0}`,
      );
    }
    place.seen = count;
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    this.#check(chunks);
    const outputs: Record<string, Float32Array>[] = [];
    for (const chunk of chunks) outputs.push(await this.#compute(chunk));
    // Only now, that nothing can fail any more, do slots change.
    return chunks.map((chunk, i) => this.#append(chunk, outputs[i]!));
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  /** Throws unless all chunks can be appended in one run. */
  #check(chunks: readonly DecodeChunk[]): void {
    const slots = new Set<number>();
    for (const { slot, tokens, logits } of chunks) {
      const { policy, seen } = this.#place(slot);
      if (!policy) {
        throw new RangeError(`Cannot append to slot ${slot}: it is not open`);
      }
      if (slots.has(slot)) {
        throw new RangeError(`Cannot append to slot ${slot} twice in one run`);
      }
      slots.add(slot);
      const limit = Math.min(this.chunk, policy.chunkLimit(seen));
      if (tokens.length < 1 || tokens.length > limit) {
        throw new RangeError(
          `Cannot append ${tokens.length} tokens to slot ${slot}: 1 to ${limit} fit one run`,
        );
      }
      if (!Number.isInteger(logits) || logits < 0 || logits > tokens.length) {
        throw new RangeError(
          `Cannot give logits of ${logits} tokens of ${tokens.length}`,
        );
      }
    }
  }

  async #compute(chunk: DecodeChunk): Promise<Record<string, Float32Array>> {
    const { policy, seen, cache } = this.#place(chunk.slot);
    const outputs = await this.#session.run({
      ...cache,
      ...this.#inputs(chunk, policy!, seen),
    });
    // A hidden row still counts, with weight 0, and 0 · NaN is NaN: none may ever enter a cache.
    for (
      const rows of new Set(this.#memory.tensors.map((tensor) => tensor.rows))
    ) {
      if (!allFinite(outputs[rows]!)) {
        throw new Error(
          `The engine gave "${rows}" of slot ${chunk.slot} that are no numbers`,
        );
      }
    }
    return outputs;
  }

  #append(
    chunk: DecodeChunk,
    outputs: Record<string, Float32Array>,
  ): Float32Array {
    const { slot, tokens } = chunk;
    const place = this.#place(slot);
    const { policy, seen } = place;
    const places = tokens.map((_, t) => policy!.place(seen + t));
    const rows = Math.min(
      policy!.window,
      seen + tokens.length - policy!.sinks,
    );
    if (this.#memory.reserve(slot, rows)) place.cache = this.#cacheOf(slot);
    this.#memory.write(slot, places, outputs);
    place.seen += tokens.length;
    return chunk.logits === 0 ? new Float32Array(0) : outputs.logits!;
  }

  #inputs(
    chunk: DecodeChunk,
    policy: SinkWindow,
    seen: number,
  ): Record<string, EngineTensor> {
    const count = chunk.tokens.length;
    const layout = this.#memory.layoutOf(chunk.slot);
    const { hidden } = this.#embeddings;
    const embeddings = new Float32Array(count * hidden);
    for (const [t, token] of chunk.tokens.entries()) {
      this.#embeddings.write(
        token,
        embeddings.subarray(t * hidden, (t + 1) * hidden),
      );
    }
    const stored = layout.sinkRows + layout.windowRows;
    const mask = new Float32Array(count * (stored + count));
    policy.fillMask(mask, { seen, count, chunkColumns: count }, layout);
    const wanted = Math.max(1, chunk.logits); // a run always gives some logits
    const tensor = this.#session.tensor.bind(this.#session);
    const integers = (length: number, value: (i: number) => number) =>
      BigInt64Array.from({ length }, (_, i) => BigInt(value(i)));
    return {
      embeddings: tensor(embeddings, [count, hidden]),
      [CONTEXT.position]: tensor(integers(count, (t) => t), [1, count]),
      [CONTEXT.sinkPosition]: tensor(integers(count, (t) => count + t), [
        1,
        count,
      ]),
      ...this.#angles(policy, seen, count),
      [CONTEXT.mask]: tensor(mask, [1, 1, 1, count, stored + count]),
      [CONTEXT.split]: tensor(integers(2, (i) => i === 0 ? stored : count), [
        2,
      ]),
      [CONTEXT.heads]: tensor(
        BigInt64Array.from(this.#heads, BigInt).with(1, BigInt(count)),
        [4],
      ),
      logit_tokens: tensor(integers(wanted, (i) => count - wanted + i), [
        wanted,
      ]),
    };
  }

  /** Cosines and sines: the tokens' own positions first, then those that ask the sinks. */
  #angles(
    policy: SinkWindow,
    seen: number,
    count: number,
  ): Record<string, EngineTensor> {
    const half = this.#frequencies.length;
    const cos = new Float32Array(2 * count * half);
    const sin = new Float32Array(2 * count * half);
    for (let row = 0; row < 2 * count; row++) {
      const position = row < count
        ? seen + row
        : policy.sinkQueryPosition(seen + row - count);
      for (let i = 0; i < half; i++) {
        const angle = position * this.#frequencies[i]!;
        cos[row * half + i] = Math.cos(angle);
        sin[row * half + i] = Math.sin(angle);
      }
    }
    return {
      [CONTEXT.cos]: this.#session.tensor(cos, [2 * count, half]),
      [CONTEXT.sin]: this.#session.tensor(sin, [2 * count, half]),
    };
  }

  #cacheOf(slot: number): Record<string, EngineTensor> {
    const cache: Record<string, EngineTensor> = {};
    for (const tensor of this.#memory.tensors) {
      for (let layer = 0; layer < this.#memory.layers; layer++) {
        const { data, dims } = this.#memory.view(tensor, layer, slot);
        cache[`${tensor.name}_${layer}`] = this.#session.tensor(data, dims);
      }
    }
    return cache;
  }

  #place(slot: number): Slot {
    const place = this.#places[slot];
    if (!place) {
      throw new RangeError(`Cannot use slot ${slot}: there are ${this.slots}`);
    }
    return place;
  }
}

function allFinite(values: Float32Array): boolean {
  let sum = 0; // f64: finite f32 values cannot make it overflow
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return Number.isFinite(sum);
}
