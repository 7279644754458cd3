/**
 * The decoder whose caches are in host memory: puts slots together into runs, and writes the new rows that a run
 * gives into the ring.
 *
 * @module
 */
import { RowArena } from "../attend/row_arena.ts";
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
import {
  type AttentionModel,
  type CollectedAttention,
  OutsideAttention,
  type SlotLane,
} from "./outside_attention.ts";
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
  /** Whether the engine reads caches where they lie. */
  readonly inPlace?: boolean;
  /** What attends, if the graph leaves that to others. */
  readonly attention?: AttentionModel;
}

/** What a run gave to one chunk. */
interface Result {
  /** New rows by output name, `[layers × heads, chunk, width]`. */
  readonly rows: Record<string, Float32Array>;
  readonly logits: Float32Array;
}

/** Where runs put what they give. */
interface RunMemory {
  readonly results: Map<DecodeChunk, Result>;
  /** Memory for a run's logits, if they may go over others. */
  outputs(of: readonly DecodeChunk[]): Record<string, EngineTensor>;
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
  /** What attends, if the graph leaves that to others. */
  readonly #outside: OutsideAttention | null;
  /** Logits of steps that nobody keeps. */
  #logits: Float32Array | null = null;
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
    this.#outside = model.attention
      ? new OutsideAttention(model.attention, {
        shape,
        inputs: this.#inputs,
        layers,
        slots: options.slots,
      })
      : null;
    const rows = this.#outside ??
      (model.inPlace ? new RowArena(layers, options.slots) : null);
    this.#memory = new RingMemory(
      layers,
      options.slots,
      (layer) => rows?.rowsOf(layer),
    );
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

  /** The caches themselves. */
  get memory(): RingMemory {
    return this.#memory;
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

  run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    return this.#run(chunks, {});
  }

  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    // Nobody keeps the logits, so that one memory does for all steps.
    const reused = { reuse: true };
    return sampleByRun({ run: (of) => this.#run(of, reused) }, chunks);
  }

  async release(): Promise<void> {
    await this.#outside?.release();
    await this.#session.release();
  }

  /** @param options.reuse whether logits are only needed until the next run */
  async #run(
    chunks: readonly DecodeChunk[],
    { reuse = false }: { reuse?: boolean },
  ): Promise<Float32Array[]> {
    this.#book.check(chunks);
    const results = new Map<DecodeChunk, Result>();
    const outputs = reuse ? this.#logitMemory() : () => ({});
    const into = { results, outputs };
    if (this.#outside) await this.#attend(this.#outside, chunks, into);
    else for (const batch of batches(chunks)) await this.#compute(batch, into);
    // Only now, that nothing can fail any more, do slots change.
    return chunks.map((chunk) => {
      const { rows, logits } = results.get(chunk)!;
      this.#append(chunk, rows);
      return logits;
    });
  }

  /** Computes single tokens of any slots together, and each longer chunk alone. */
  async #attend(
    outside: OutsideAttention,
    chunks: readonly DecodeChunk[],
    { results, outputs }: RunMemory,
  ): Promise<void> {
    const lanesOf = (of: readonly DecodeChunk[]) =>
      of.map((chunk) => ({ ...chunk, ...this.#book.before(chunk) }));
    const run = async (
      of: readonly DecodeChunk[],
      lanes: readonly SlotLane[],
      attention: CollectedAttention,
    ) => {
      const inputs = this.#inputs.tokens(lanes);
      const options = { attention, outputs: outputs(of) };
      const { logits } = await this.#session.run(inputs, options);
      const rows = (i: number) => ({ ...attention.rows[i]! });
      this.#divide(of, logits!, { rows, results });
    };
    const steps = chunks.filter(({ tokens }) => tokens.length === 1);
    if (steps.length > 0) {
      const lanes = lanesOf(steps);
      await run(steps, lanes, outside.step(lanes));
    }
    for (const chunk of chunks) {
      if (chunk.tokens.length === 1) continue;
      const lanes = lanesOf([chunk]);
      const [lane] = lanes;
      const { policy, seen } = lane!;
      const layout = usedLayout(this.#layout, policy.ringRows(seen));
      const of = { memory: this.#memory, layout };
      await run([chunk], lanes, outside.chunk(lane!, of));
    }
  }

  /** The one memory for logits that nobody keeps, run after run of one call. */
  #logitMemory(): RunMemory["outputs"] {
    this.#logits ??= new Float32Array(this.slots * this.vocabulary);
    const all = this.#logits;
    let used = 0;
    return (of) => {
      const wanted = of.reduce((sum, { logits }) => sum + logits, 0);
      if (wanted === 0 || used + wanted > this.slots) return {};
      const first = used * this.vocabulary;
      used += wanted;
      const memory = all.subarray(first, used * this.vocabulary);
      const dims = [wanted, this.vocabulary];
      return { logits: this.#session.tensor(memory, dims) };
    };
  }

  async #compute(
    { range, chunks }: Batch,
    { results, outputs }: RunMemory,
  ): Promise<void> {
    let stored = 0;
    const lanes = chunks.map((chunk) => {
      if (chunk === null) return null;
      const held = this.#book.before(chunk);
      stored = Math.max(stored, held.policy.ringRows(held.seen));
      return { ...chunk, ...held };
    });
    const layout = usedLayout(this.#layout, stored);
    const given = await this.#session.run({
      ...this.#bind(range, layout),
      ...this.#inputs.tokens(lanes),
      ...this.#inputs.context(lanes, layout),
    }, { outputs: outputs(chunks.filter((chunk) => chunk !== null)) });
    const rows = (i: number) =>
      Object.fromEntries(this.#rowNames.map((name) => {
        const size = given[name]!.length / range.count;
        return [name, given[name]!.subarray(i * size, (i + 1) * size)];
      }));
    this.#divide(chunks, given.logits!, { rows, results });
  }

  /** Tells what a run gave to each of its chunks. */
  #divide(
    chunks: Batch["chunks"],
    logits: Float32Array,
    { rows: rowsOf, results }: {
      rows: (chunk: number) => Result["rows"];
      results: Map<DecodeChunk, Result>;
    },
  ): void {
    let logit = 0;
    for (const [i, chunk] of chunks.entries()) {
      if (chunk === null) continue;
      const rows = rowsOf(i);
      for (const [name, values] of Object.entries(rows)) {
        checkFinite(`"${name}" of slot ${chunk.slot}`, values);
      }
      const end = logit + chunk.logits * this.vocabulary;
      results.set(chunk, { rows, logits: logits.subarray(logit, end) });
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
      for (const { name, data, dims } of views) {
        caches[`${name}_${layer}`] = this.#session.tensor(data, dims);
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
