/**
 * The decoder whose caches are in host memory: puts slots together into runs, and writes the new rows that a run
 * gives into the ring.
 *
 * @module
 */
import {
  conversationBytes,
  layerCaches,
  oneRow,
  type SlotLayout,
  usedLayout,
  windowRows,
} from "../cache/layout.ts";
import type { SlotRange } from "../cache/layer_memory.ts";
import { type RingCopy, RingMemory } from "../cache/ring_memory.ts";
import { type Held, nothingHeld } from "../cache/held.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import type { EngineSession, EngineTensor } from "../engine/engine.ts";
import type { GroupedQueryAttention } from "../graph/attention/grouped_query.ts";
import type { DecoderPlan } from "../graph/convert.ts";
import type { Sample } from "../sampling/mod.ts";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
  Snapshot,
} from "./decoder.ts";
import type { EmbeddingTable } from "./embedding_table.ts";
import { checkFinite } from "./check_finite.ts";
import { RunInputs } from "./run_inputs.ts";
import { SlotBook } from "./slot_book.ts";
import { sampleByRun } from "./sample_by_run.ts";
import { slotRanges } from "./slot_ranges.ts";

/** One run of the engine: the chunks of some slots side by side, `null` where one idles. */
interface Batch {
  readonly range: SlotRange;
  readonly chunks: readonly (DecodeChunk | null)[];
}

/** A graph on an engine whose caches are in host memory: decoders of any size run on it. */
export interface HostModel {
  readonly plan: DecoderPlan<GroupedQueryAttention>;
  readonly session: EngineSession;
  readonly embeddings: EmbeddingTable;
}

/** What a run gave to one chunk. */
interface Result {
  /** New rows by output name, `[layers × heads, chunk, width]`. */
  readonly rows: Record<string, Float32Array>;
  readonly logits: Float32Array;
}

/** A slot's cache, outside of it. */
interface RingSnapshot extends Snapshot, Held {
  readonly copy: RingCopy;
}

/** Ranges of slots whose views are kept, bound to the engine, for the next run. */
const MOST_BINDINGS = 64;

/** A decoder on any engine that takes caches from host memory. */
export class HostDecoder implements Decoder {
  readonly vocabulary: number;
  readonly slots: number;
  readonly chunk: number;
  readonly slotBytes: number;
  readonly gpuBytes = null;
  readonly #session: EngineSession;
  readonly #inputs: RunInputs;
  readonly #memory: RingMemory;
  readonly #layout: SlotLayout;
  readonly #tokenBytes: number;
  readonly #rowNames: readonly string[];
  readonly #book: SlotBook;
  /** Least recently used first. */
  readonly #bindings = new Map<string, Record<string, EngineTensor>>();

  /** Claims the caches of all slots. */
  constructor(
    model: HostModel,
    options: { layout: SlotLayout; slots: number; chunk: number },
  ) {
    const { session, embeddings } = model;
    const { shape } = model.plan;
    this.vocabulary = shape.vocabulary;
    this.slots = options.slots;
    // Queries see their own chunk as it is computed, so no row of it may be older than the tail is long.
    const { tailRows } = options.layout;
    this.chunk = Math.min(options.chunk, tailRows || Infinity);
    this.#session = session;
    this.#inputs = new RunInputs(session, embeddings, model.plan);
    this.#layout = options.layout;
    const layers = layerCaches(model.plan, options.layout);
    this.#memory = new RingMemory(layers, options.slots);
    this.#rowNames = [
      ...new Set(layers.flatMap((l) => l.tensors.map(({ rows }) => rows))),
    ];
    this.#tokenBytes = conversationBytes(
      layerCaches(model.plan, oneRow(options.layout)),
    );
    this.slotBytes = this.#memory.slotBytes;
    this.#book = new SlotBook({
      slots: options.slots,
      room: this.room,
      tailRows,
      limit: ({ policy, seen }) =>
        Math.min(this.chunk, policy.chunkLimit(seen)),
    });
  }

  get room(): { sinks: number; window: number } {
    const { sinkRows: sinks } = this.#layout;
    return { sinks, window: windowRows(this.#layout) };
  }

  get tokenBytes(): number {
    return this.#tokenBytes;
  }

  get cacheBytes(): number {
    return this.#memory.bytes;
  }

  open(slot: number, policy: SinkWindow): void {
    this.#book.put(slot, nothingHeld(policy));
  }

  close(slot: number): void {
    this.#book.clear(slot);
  }

  seen(slot: number): number {
    return this.#book.at(slot)?.seen ?? 0;
  }

  lazyLayers(): readonly number[] {
    return [];
  }

  rewindable(policy: SinkWindow, seen: number): boolean {
    return this.#book.rewindable(policy, seen);
  }

  rewind(slot: number, count: number): void {
    this.#book.rewind(slot, count);
  }

  limit(slot: number): number {
    return this.#book.limit(slot);
  }

  save(slot: number): RingSnapshot {
    const held = this.#book.opened(slot);
    const copy = this.#memory.copy(
      slot,
      () => held.policy.ringRows(held.seen),
    );
    return { ...held, bytes: copy.bytes, copy };
  }

  restore(slot: number, snapshot: Snapshot): Promise<void> {
    return Promise.try(() => {
      const { policy, seen, boundaries, copy } = snapshot as RingSnapshot;
      this.#book.at(slot);
      this.#book.checkRoom(policy);
      this.#memory.paste(slot, copy);
      this.#book.put(slot, { policy, seen, boundaries });
    });
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    this.#book.check(chunks);
    const results = new Map<DecodeChunk, Result>();
    for (const batch of batches(chunks)) {
      await this.#compute(batch, results);
    }
    // Only now, that nothing can fail any more, do slots change.
    return chunks.map((chunk) => {
      const { rows, logits } = results.get(chunk)!;
      this.#append(chunk, rows);
      return logits;
    });
  }

  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    return sampleByRun(this, chunks);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  async #compute(
    { range, chunks }: Batch,
    results: Map<DecodeChunk, Result>,
  ): Promise<void> {
    let stored = 0;
    const lanes = chunks.map((chunk) => {
      if (chunk === null) return null;
      const held = this.#book.before(chunk);
      stored = Math.max(stored, held.policy.ringRows(held.seen));
      return { ...chunk, ...held };
    });
    const layout = usedLayout(this.#layout, stored);
    const outputs = await this.#session.run({
      ...this.#bind(range, layout),
      ...this.#inputs.build(lanes, layout),
    });
    let logit = 0;
    for (const [i, chunk] of chunks.entries()) {
      if (chunk === null) continue;
      const rows: Record<string, Float32Array> = {};
      for (const name of this.#rowNames) {
        const size = outputs[name]!.length / range.count;
        const part = outputs[name]!.subarray(i * size, (i + 1) * size);
        checkFinite(`"${name}" of slot ${chunk.slot}`, part);
        rows[name] = part;
      }
      const end = logit + chunk.logits * this.vocabulary;
      results.set(chunk, {
        rows,
        logits: outputs.logits!.subarray(logit, end),
      });
      logit = end;
    }
  }

  #append(chunk: DecodeChunk, rows: Record<string, Float32Array>): void {
    const { slot, tokens } = chunk;
    const { policy, seen } = this.#book.opened(slot);
    const places = tokens.map((_, t) => policy.place(seen + t));
    this.#memory.write(slot, { first: seen, places: () => places }, rows);
    this.#book.append(chunk);
  }

  /** The caches of some slots as inputs, as far as `layout` sees them. */
  #bind(
    { first, count }: SlotRange,
    layout: SlotLayout,
  ): Record<string, EngineTensor> {
    const key = `${first} ${count} ${layout.blocks}`;
    const caches = this.#bindings.get(key) ?? {};
    if (this.#bindings.delete(key)) {
      this.#bindings.set(key, caches);
      return caches;
    }
    for (const layer of this.#memory.layers.keys()) {
      const views = this.#memory.views(layer, { first, count }, layout);
      for (const { input, data, dims } of views) {
        caches[input] = this.#session.tensor(data, dims);
      }
    }
    this.#bindings.set(key, caches);
    if (this.#bindings.size > MOST_BINDINGS) {
      this.#bindings.delete(this.#bindings.keys().next().value!);
    }
    return caches;
  }
}

/** Steps of one token go together, slot beside slot; a longer chunk goes alone. */
function batches(chunks: readonly DecodeChunk[]): Batch[] {
  const steps = new Map(
    chunks.filter(({ tokens }) => tokens.length === 1)
      .map((chunk) => [chunk.slot, chunk]),
  );
  const together = slotRanges([...steps.keys()]).map((range) => ({
    range,
    chunks: Array.from(
      { length: range.count },
      (_, i) => steps.get(range.first + i) ?? null,
    ),
  }));
  const alone = chunks.filter(({ tokens }) => tokens.length > 1)
    .map((chunk) => ({
      range: { first: chunk.slot, count: 1 },
      chunks: [chunk],
    }));
  return [...together, ...alone];
}
