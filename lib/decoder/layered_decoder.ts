/**
 * The decoder of `simplayer` (SimLayerKV, arXiv 2410.13846), with caches in host memory: some layers of
 * a conversation, the lazy ones, keep only sinks and a recent window.
 *
 * Which layers those are is decided for each conversation once it outgrows what a lazy layer keeps, by
 * its last 32 queries: at the end of the prompt that does so, or at the generated token that does (the
 * paper's two variants). From then on they stay lazy. Until a prompt's end all
 * layers keep all tokens of it, in memory that there is once, the stage; a slot holds just what a
 * conversation keeps from then on, so that a slot's bytes are those of a conversation with its lazy
 * layers cut.
 *
 * Conversations are stepped one by one, as their layers differ in length.
 *
 * @module
 */
import { type Held, nothingHeld } from "../cache/held.ts";
import { laziest, lazyWindow, nearPositions } from "../cache/lazy_layers.ts";
import {
  conversationBytes,
  type LayerCache,
  layerCaches,
  oneRow,
  type SlotLayout,
  slotLayout,
  usedLayout,
} from "../cache/layout.ts";
import { type RingCopy, RingMemory } from "../cache/ring_memory.ts";
import { SinkWindow } from "../cache/sink_window.ts";
import type { EngineTensor } from "../engine/engine.ts";
import { MASS } from "../graph/attention/grouped_query.ts";
import type { Sample } from "../sampling/mod.ts";
import { checkFinite } from "./check_finite.ts";
import type {
  DecodeChunk,
  Decoder,
  SampledChunk,
  Snapshot,
} from "./decoder.ts";
import type { HostModel } from "./host_decoder.ts";
import { AttentionMass } from "./attention_mass.ts";
import { type LayerRows, RunInputs } from "./run_inputs.ts";
import { sampleByRun } from "./sample_by_run.ts";
import { SlotBook } from "./slot_book.ts";

/** Room of a layered decoder. */
export interface LayeredRoom {
  readonly sinks: number;
  /** Window of the layers that are not lazy. */
  readonly window: number;
  /** Layers that are lazy. */
  readonly lazyLayers: number;
  /** Layers that are never lazy: a few attend little to what is far, but to great effect. Default: none. */
  readonly keptLayers?: readonly number[];
  readonly slots: number;
  readonly chunk: number;
}

/** A conversation's rows. */
interface Conversation {
  readonly memory: RingMemory;
  /** Layers that are lazy; `null` before that is decided. */
  readonly lazy: readonly number[] | null;
  /** Attention on near tokens so far. */
  readonly mass: AttentionMass;
}

/** A conversation outside of any slot. */
interface LayeredSnapshot extends Snapshot, Held {
  readonly policy: SinkWindow;
  readonly lazy: readonly number[] | null;
  readonly staged: boolean;
  /** Of the {@linkcode AttentionMass}. */
  readonly queries: readonly Float64Array[];
  readonly copy: RingCopy;
}

/** Sizes of a layered decoder's caches, in arithmetic alone. */
export class LayeredSizes {
  readonly layers: number;
  readonly room: LayeredRoom;
  readonly #model: Pick<HostModel, "plan">;
  readonly #whole: SlotLayout;
  readonly #cut: SlotLayout;

  constructor(model: Pick<HostModel, "plan">, room: LayeredRoom) {
    const { shape, attention } = model.plan;
    const { sinks, window } = room;
    this.layers = shape.layers;
    this.room = room;
    this.#model = model;
    this.#whole = slotLayout(sinks, window, attention);
    this.#cut = slotLayout(sinks, lazyWindow(window), attention);
  }

  /** Caches whose lazy layers are cut; with `null` all are as before that is decided, on the stage none is. */
  caches(lazy: readonly number[] | null | "stage"): LayerCache[] {
    const whole = layerCaches(this.#model.plan, this.#whole);
    if (lazy === "stage") return whole;
    const cut = layerCaches(this.#model.plan, this.#cut);
    if (lazy === null) return cut;
    return whole.map((layer, i) => lazy.includes(i) ? cut[i]! : layer);
  }

  /** Bytes of the stage. */
  get stageBytes(): number {
    return conversationBytes(this.caches("stage"));
  }

  /** Bytes of a slot, whichever layers are lazy. */
  get slotBytes(): number {
    const whole = this.caches("stage").map((layer) =>
      conversationBytes([layer])
    );
    const saved = this.caches(null).map((layer, i) =>
      whole[i]! - conversationBytes([layer])
    ).sort((a, b) => a - b).slice(0, this.room.lazyLayers);
    return sum(whole) - sum(saved);
  }

  /** Bytes of one token's rows in all layers. */
  get tokenBytes(): number {
    return conversationBytes(
      layerCaches(this.#model.plan, oneRow(this.#whole)),
    );
  }
}

/** A decoder some of whose layers are lazy. */
export class LayeredDecoder implements Decoder {
  readonly vocabulary: number;
  readonly slots: number;
  readonly chunk: number;
  readonly room: { readonly sinks: number; readonly window: number };
  readonly slotBytes: number;
  readonly tokenBytes: number;
  readonly cacheBytes: number;
  readonly gpuBytes = null;
  readonly #model: HostModel;
  readonly #inputs: RunInputs;
  readonly #sizes: LayeredSizes;
  readonly #book: SlotBook;
  readonly #conversations: (Conversation | null)[];
  readonly #stage: RingMemory;
  /** The slot whose conversation is on the stage. */
  #staged: number | null = null;

  constructor(model: HostModel, room: LayeredRoom) {
    const { shape, attention } = model.plan;
    const sizes = new LayeredSizes(model, room);
    const most = shape.layers - (room.keptLayers?.length ?? 0);
    if (room.lazyLayers > most) {
      throw new RangeError(
        `Cannot make ${room.lazyLayers} layers lazy (EVERSTREAM_LAZY_LAYERS): of the model's ` +
          `${shape.layers}, ${most} can be`,
      );
    }
    this.vocabulary = shape.vocabulary;
    this.slots = room.slots;
    this.chunk = Math.min(room.chunk, attention.tailRows || Infinity);
    this.room = { sinks: Math.max(1, room.sinks), window: room.window };
    this.slotBytes = sizes.slotBytes;
    this.tokenBytes = sizes.tokenBytes;
    this.cacheBytes = room.slots * sizes.slotBytes + sizes.stageBytes;
    this.#model = model;
    this.#inputs = new RunInputs(model.session, model.embeddings, model.plan);
    this.#sizes = sizes;
    this.#conversations = Array(room.slots).fill(null);
    this.#stage = new RingMemory(sizes.caches("stage"), 1);
    this.#book = new SlotBook({
      slots: room.slots,
      room: this.room,
      tailRows: attention.tailRows,
      limit: ({ policy, seen }) =>
        Math.min(this.chunk, policy.chunkLimit(seen)),
    });
  }

  open(slot: number, policy: SinkWindow): void {
    this.#book.put(slot, nothingHeld(policy));
    this.#leaveStage(slot);
    this.#conversations[slot] = {
      memory: new RingMemory(this.#sizes.caches(null), 1),
      lazy: null,
      mass: new AttentionMass(this.#sizes.layers),
    };
  }

  close(slot: number): void {
    this.#book.clear(slot);
    this.#conversations[slot] = null;
    this.#leaveStage(slot);
  }

  seen(slot: number): number {
    return this.#book.at(slot)?.seen ?? 0;
  }

  rewindable(policy: SinkWindow, seen: number): boolean {
    return seen <= lazyPolicy(policy).capacity &&
      this.#book.rewindable(policy, seen);
  }

  rewind(slot: number, count: number): void {
    const { policy, seen } = this.#book.opened(slot);
    if (count !== seen && !this.rewindable(policy, seen)) {
      throw new RangeError(
        `Cannot rewind slot ${slot} to ${count} tokens: it has seen ${seen}, ` +
          "and its lazy layers may have forgotten some",
      );
    }
    this.#book.rewind(slot, count);
  }

  /** Most tokens of the next chunk; 0 while it needs the stage and another conversation is on it. */
  limit(slot: number): number {
    const most = this.#book.limit(slot);
    const { lazy } = this.#conversation(slot);
    const others = this.#staged !== null && this.#staged !== slot;
    if (lazy !== null || !others) return most;
    return Math.max(0, Math.min(most, this.#undecided(slot)));
  }

  lazyLayers(slot: number): readonly number[] {
    return this.#conversations[slot]?.lazy ?? [];
  }

  /** Mass of the attention of the last queries before layers were cut on near tokens, by layer. */
  attentionMass(slot: number): number[] {
    return this.#conversation(slot).mass.byLayer;
  }

  save(slot: number): LayeredSnapshot {
    const held = this.#book.opened(slot);
    const { memory, lazy, mass: { queries } } = this.#conversation(slot);
    const layers = this.#layers(slot, held, memory);
    const copy = memory.copy(0, (layer) => {
      const { policy } = layers.find((of) => of.layers.includes(layer))!;
      return policy.ringRows(held.seen);
    });
    const staged = memory === this.#stage;
    return { ...held, bytes: copy.bytes, lazy, staged, queries, copy };
  }

  restore(slot: number, snapshot: Snapshot): Promise<void> {
    return Promise.try(() => {
      const { policy, seen, boundaries, lazy, staged, queries, copy } =
        snapshot as LayeredSnapshot;
      this.#book.at(slot);
      this.#book.checkRoom(policy);
      if (staged && this.#staged !== null && this.#staged !== slot) {
        throw new RangeError(
          `Cannot restore into slot ${slot}: another long prompt is being read; try again`,
        );
      }
      const memory = staged
        ? this.#stage
        : new RingMemory(this.#sizes.caches(lazy), 1);
      memory.paste(0, copy);
      this.#book.put(slot, { policy, seen, boundaries });
      this.#leaveStage(slot);
      if (staged) this.#staged = slot;
      const mass = new AttentionMass(this.#sizes.layers, queries);
      this.#conversations[slot] = { memory, lazy, mass };
    });
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    this.#book.check(chunks);
    this.#checkStage(chunks);
    const computed: { logits: Float32Array; append(): void }[] = [];
    for (const chunk of chunks) computed.push(await this.#compute(chunk));
    // Only now, that nothing can fail any more, do slots change.
    return computed.map(({ logits, append }) => {
      append();
      return logits;
    });
  }

  sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    return sampleByRun(this, chunks);
  }

  async release(): Promise<void> {
    await this.#model.session.release();
  }

  async #compute(
    chunk: DecodeChunk,
  ): Promise<{ logits: Float32Array; append(): void }> {
    const { slot, tokens, logits } = chunk;
    const held = this.#book.before(chunk);
    const { memory } = this.#conversation(slot);
    const groups = this.#layers(slot, held, memory, tokens.length);
    const outputs = await this.#model.session.run({
      ...this.#bind(memory, groups),
      ...this.#inputs.buildLayered({ ...held, tokens, logits }, groups),
    });
    const { keys, values, [MASS]: mass, logits: given } = outputs;
    checkFinite(`keys of slot ${slot}`, keys!);
    checkFinite(`values of slot ${slot}`, values!);
    return {
      logits: given!.subarray(0, logits * this.vocabulary),
      append: () =>
        this.#append(chunk, { keys: keys!, values: values! }, mass!),
    };
  }

  /** @throws {RangeError} if chunks need the stage that another conversation is on. */
  #checkStage(chunks: readonly DecodeChunk[]): void {
    let staged = this.#staged;
    for (const { slot, tokens, logits } of chunks) {
      if (logits > 0 || tokens.length <= this.#undecided(slot)) continue;
      if (this.#conversation(slot).lazy !== null) continue;
      if (staged !== null && staged !== slot) {
        throw new RangeError(
          `Cannot append ${tokens.length} tokens to slot ${slot}: the long prompt of slot ` +
            `${staged} is read first`,
        );
      }
      staged = slot;
    }
  }

  #append(
    chunk: DecodeChunk,
    rows: { keys: Float32Array; values: Float32Array },
    mass: Float32Array,
  ): void {
    const { slot, tokens, logits } = chunk;
    const before = this.#conversation(slot);
    if (before.lazy === null) before.mass.add(mass, tokens.length);
    const outgrown = before.lazy === null &&
      tokens.length > this.#undecided(slot);
    if (outgrown && logits > 0) this.#cut(slot);
    else if (outgrown) this.#toStage(slot);
    const { memory } = this.#conversation(slot);
    const held = this.#book.before(chunk);
    const places = new Map(
      this.#layers(slot, held, memory).flatMap(({ layers, policy }) => {
        const at = tokens.map((_, t) => policy.place(held.seen + t));
        return layers.map((layer) => [layer, at] as const);
      }),
    );
    const first = held.seen;
    memory.write(0, { first, places: (layer) => places.get(layer)! }, rows);
    this.#book.append(chunk);
  }

  /** Tokens that an undecided conversation's slot still has room for. */
  #undecided(slot: number): number {
    const { policy, seen } = this.#book.opened(slot);
    return lazyPolicy(policy).capacity - seen;
  }

  /** Decides which layers are lazy, and keeps of those what they keep. */
  #cut(slot: number): void {
    const { policy, seen } = this.#book.opened(slot);
    const { memory: from, mass } = this.#conversation(slot);
    const { lazyLayers, keptLayers } = this.#sizes.room;
    const lazy = laziest(mass.byLayer, lazyLayers, keptLayers);
    const memory = new RingMemory(this.#sizes.caches(lazy), 1);
    for (const [i, layer] of memory.layers.entries()) {
      const to = lazy.includes(i) ? lazyPolicy(policy) : policy;
      layer.adopt(from.layers[i]!, ringMoves(policy, to, seen));
    }
    this.#leaveStage(slot);
    this.#conversations[slot] = { memory, lazy, mass };
  }

  #leaveStage(slot: number): void {
    if (this.#staged === slot) this.#staged = null;
  }

  /** Brings a conversation onto the stage. */
  #toStage(slot: number): void {
    if (this.#staged === slot) return;
    const { policy, seen } = this.#book.opened(slot);
    const { memory: from, mass } = this.#conversation(slot);
    for (const [i, layer] of this.#stage.layers.entries()) {
      layer.adopt(from.layers[i]!, ringMoves(policy, policy, seen));
    }
    this.#staged = slot;
    this.#conversations[slot] = { memory: this.#stage, lazy: null, mass };
  }

  /** What the layers of a slot keep, and what a run of so many tokens more sees of it. */
  #layers(
    slot: number,
    { policy, seen }: Held,
    memory: RingMemory,
    count = 0,
  ): LayerRows[] {
    const { lazy } = this.#conversation(slot);
    const isNear = lazy === null
      ? nearPositions(seen + count, lazyPolicy(policy).window)
      : () => false;
    const all = [...memory.layers.keys()];
    const isLazy = new Set(lazy);
    const group = (layers: number[], policy: SinkWindow): LayerRows => ({
      layers,
      policy,
      layout: usedLayout(
        memory.layers[layers[0]!]!.layout,
        policy.ringRows(seen),
      ),
      isNear,
    });
    const whole = all.filter((layer) => !isLazy.has(layer));
    const cut = all.filter((layer) => isLazy.has(layer));
    return [
      ...whole.length > 0 ? [group(whole, policy)] : [],
      ...cut.length > 0 ? [group(cut, lazyPolicy(policy))] : [],
    ];
  }

  #bind(
    memory: RingMemory,
    groups: readonly LayerRows[],
  ): Record<string, EngineTensor> {
    const caches: Record<string, EngineTensor> = {};
    for (const { layers, layout } of groups) {
      for (const layer of layers) {
        const one = { first: 0, count: 1 };
        for (const view of memory.views(layer, one, layout)) {
          const { name, data, dims } = view;
          caches[`${name}_${layer}`] = this.#model.session.tensor(data, dims);
        }
      }
    }
    return caches;
  }

  #conversation(slot: number): Conversation {
    this.#book.opened(slot);
    return this.#conversations[slot]!;
  }
}

/** What a lazy layer keeps. */
function lazyPolicy({ sinks, window }: SinkWindow): SinkWindow {
  return new SinkWindow(sinks, lazyWindow(window));
}

/** Where the rows that a layer keeps go when it changes its policy. */
function ringMoves(
  from: SinkWindow,
  to: SinkWindow,
  seen: number,
): { from: number; to: number }[] {
  const oldest = Math.max(from.sinks, seen - Math.min(from.window, to.window));
  return Array.from({ length: Math.max(0, seen - oldest) }, (_, i) => ({
    from: from.place(oldest + i).index,
    to: to.place(oldest + i).index,
  }));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
