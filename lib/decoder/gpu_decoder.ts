/**
 * The decoder on a GPU: caches, new rows and logits stay there. Runs, copies and what a lost device
 * takes with it are put together here; the device itself is {@linkcode GpuModel}'s.
 *
 * @module
 */
import { chunkLimit, heldRows } from "../cache/gpu_rows.ts";
import { appended, type Held, nothingHeld } from "../cache/held.ts";
import type { SinkWindow } from "../cache/sink_window.ts";
import { type GpuBytes, GpuLostError } from "../engine/gpu.ts";
import type { Sample } from "../sampling/mod.ts";
import { allFinite } from "./check_finite.ts";
import type { DecodeChunk, Decoder, SampledChunk } from "./decoder.ts";
import { choose, findChoices } from "./gpu/choices.ts";
import type { GpuModelSource } from "./gpu/claim_parts.ts";
import type { ComputedRun, GpuModel } from "./gpu/gpu_model.ts";
import { type GpuSize, stageRows } from "./gpu/gpu_size.ts";
import { type GpuSnapshot, History, snapshotOf } from "./gpu/history.ts";
import { LastingModel, type ModelOpening } from "./gpu/lasting_model.ts";
import { type OpenGpu, openGpuModel } from "./gpu/open_model.ts";
import type { Packed } from "./gpu/packed_slot.ts";
import { replay } from "./gpu/replay.ts";
import type { TokenLane } from "./gpu/run_buffers.ts";
import { SlotBook } from "./slot_book.ts";

/** Tokens after which a conversation is copied to the host at the earliest, unless told otherwise. */
const REPEATED = 512;

/** Takes what is wanted of the logits of some chunks, while they are there. */
type Take<C, T> = (
  model: GpuModel,
  chunks: readonly { chunk: C; row: number }[],
) => Promise<T[]>;

/** A decoder on a GPU. */
export class GpuDecoder implements Decoder {
  readonly vocabulary: number;
  readonly slots: number;
  readonly chunk: number;
  readonly room: { readonly sinks: number; readonly window: number };
  readonly slotBytes: number;
  readonly tokenBytes: number;
  readonly #size: GpuSize;
  readonly #book: SlotBook;
  readonly #histories: (History | null)[];
  readonly #device: LastingModel;
  /** Slots whose conversations were lost with a device and could not be brought back. */
  readonly #broken = new Set<number>();
  /** The slot whose conversation is on the stage, further than in its slot. */
  #staged: number | null = null;
  /** The end of what is under way: one thing at a time. */
  #busy: Promise<unknown> = Promise.resolve();

  /**
   * Opens a device and claims the caches of all slots.
   *
   * @throws {Error} if there is no such device, or it has too little memory: it says how many slots fit.
   */
  static async open(
    open: OpenGpu,
    source: GpuModelSource,
    size: GpuSize,
  ): Promise<GpuDecoder> {
    const opening = { open, source, size };
    return new GpuDecoder(opening, await openGpuModel(open, source, size));
  }

  private constructor(opening: ModelOpening, model: GpuModel) {
    const { source, size } = opening;
    this.#size = size;
    this.#device = new LastingModel(
      opening,
      model,
      (model) => this.#bringBack(model),
    );
    this.vocabulary = source.plan.shape.vocabulary;
    this.slots = size.slots;
    this.chunk = size.chunk;
    this.room = { sinks: size.sinks, window: size.window };
    this.slotBytes = model.slotBytes;
    this.tokenBytes = model.rowBytes;
    const rows = stageRows(size);
    this.#book = new SlotBook({
      slots: size.slots,
      room: this.room,
      limit: (held) => chunkLimit(rows, held),
    });
    this.#histories = Array(size.slots).fill(null);
  }

  get cacheBytes(): number {
    return this.slots * this.slotBytes;
  }

  /** Bytes on the device, by purpose. */
  get gpuBytes(): GpuBytes {
    return this.#device.bytes;
  }

  open(slot: number, policy: SinkWindow): void {
    this.#book.put(slot, nothingHeld(policy));
    this.#histories[slot] = new History(null);
    this.#broken.delete(slot);
    this.#leaveStage(slot);
  }

  close(slot: number): void {
    this.#book.clear(slot);
    this.#histories[slot] = null;
    this.#broken.delete(slot);
    this.#leaveStage(slot);
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
    this.#histories[slot]!.rewind(count);
  }

  limit(slot: number): number {
    return this.#book.limit(slot);
  }

  save(slot: number): GpuSnapshot {
    const held = this.#book.opened(slot);
    const model = this.#device.present;
    const data = model
      ? this.#checked(model, model.save(this.#whereabouts(slot), held))
      : Promise.reject(new Error("Cannot save a conversation: no device"));
    return this.#snapshot(slot, held, data);
  }

  async restore(slot: number, snapshot: GpuSnapshot): Promise<void> {
    this.#book.at(slot);
    this.#book.checkRoom(snapshot.policy);
    if (snapshot.layout !== this.#layout) {
      throw new RangeError(
        `Cannot restore a cache of ${snapshot.layout} into a slot of ${this.#layout}`,
      );
    }
    const { policy, seen, boundaries } = snapshot;
    const arrived = { copy: snapshot, tokens: [], boundaries: [] };
    const way = await snapshot.data.then(() => arrived, () => snapshot.way!);
    await this.#exclusively(() =>
      this.#device.use(async (model) => {
        this.open(slot, policy); // if this fails, neither conversation is there
        this.#clearStage(model);
        await replay(model, { slot, policy }, way);
        this.#device.check(model);
        this.#book.put(slot, { policy, seen, boundaries });
        this.#histories[slot] = new History(way.copy, way);
      })
    );
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    return await this.#append(chunks, async (model, part) => {
      const last = part.at(-1)!;
      const rows = last.row + rowsOf(last.chunk);
      const logits = await model.readLogits(0, rows);
      if (!allFinite(logits)) {
        throw new RangeError("The engine gave logits that are no numbers");
      }
      return part.map(({ chunk, row }) =>
        logits.subarray(
          row * this.vocabulary,
          (row + chunk.logits) * this.vocabulary,
        )
      );
    });
  }

  async sample(
    chunks: readonly SampledChunk[],
  ): Promise<PromiseSettledResult<Sample>[]> {
    const all = chunks.map((chunk) => ({ ...chunk, logits: 1 }));
    const found = await this.#append(all, findChoices);
    // Only now, that nothing can fail any more, do samplers choose.
    return await Promise.allSettled(
      chunks.map(({ sampler }, i) => choose(sampler, found[i]!)),
    );
  }

  async release(): Promise<void> {
    await this.#exclusively(() => this.#device.release());
  }

  /** Which copies fit a slot. */
  get #layout(): string {
    const { sinks, window } = this.room;
    return `${sinks} + ${window} rows of ${this.#size.element}`;
  }

  /** Computes all chunks, takes what is wanted of each one's logits, and only then changes slots. */
  async #append<C extends DecodeChunk, T>(
    chunks: readonly C[],
    take: Take<C, T>,
  ): Promise<T[]> {
    return await this.#exclusively(() => {
      this.#book.check(chunks);
      return this.#device.use((model) => this.#compute(model, chunks, take));
    });
  }

  async #compute<C extends DecodeChunk, T>(
    model: GpuModel,
    chunks: readonly C[],
    take: Take<C, T>,
  ): Promise<T[]> {
    for (const { slot } of chunks) {
      if (!this.#broken.has(slot)) continue;
      throw new Error(
        `Cannot go on in slot ${slot}: its conversation was lost with the GPU device and could not be ` +
          "brought back; begin it anew",
      );
    }
    const results = new Map<C, T>();
    const commits: (() => void)[] = [];
    const parked: Packed[] = [];
    const compute = async (
      run: Promise<ComputedRun>,
      part: readonly C[],
    ): Promise<ComputedRun> => {
      const computed = await run;
      const taken = await this.#take(model, { computed, part }, take);
      for (const [i, chunk] of part.entries()) results.set(chunk, taken[i]!);
      return computed;
    };

    const steps = chunks.filter(isStep);
    if (steps.some(({ slot }) => slot === this.#staged)) {
      this.#clearStage(model);
    }
    for (const part of this.#byBank(model, steps)) {
      const { bank } = model.place(part[0]!.slot);
      const lanes = this.#lanes(model, part);
      const run = await compute(model.compute(bank, lanes), part);
      commits.push(() => model.commit(run));
    }

    const long = chunks.filter((chunk) => !isStep(chunk));
    try {
      for (const chunk of long) {
        const { slot } = chunk;
        const lane = this.#lane(chunk);
        const goesOn = this.#staged === slot && long.length === 1;
        if (!goesOn) this.#clearStage(model);
        if (!goesOn && lane.seen > 0) model.load(slot, lane);
        const run = await compute(model.compute(model.stage, [lane]), [chunk]);
        if (long.length === 1) {
          commits.push(() => {
            model.commit(run);
            this.#staged = slot;
          });
        } else {
          model.commit(run); // on the stage alone: the slot is still as it was
          const packed = model.park(appended(lane, lane.count));
          parked.push(packed);
          commits.push(() => model.unpark(slot, packed));
        }
      }
    } catch (error) {
      for (const packed of parked) model.drop(packed);
      throw error;
    }

    this.#device.check(model);
    for (const commit of commits) commit();
    for (const chunk of chunks) this.#appended(model, chunk);
    return chunks.map((chunk) => results.get(chunk)!);
  }

  /** Takes what is wanted of a run's logits; if they are none, nothing is left of the run. */
  async #take<C extends DecodeChunk, T>(
    model: GpuModel,
    { computed, part }: { computed: ComputedRun; part: readonly C[] },
    take: Take<C, T>,
  ): Promise<T[]> {
    let row = 0;
    const rows = part.map((chunk) => {
      const first = row;
      row += rowsOf(chunk);
      return { chunk, row: first };
    });
    try {
      return await take(model, rows);
    } catch (error) {
      if (!model.gpu.isLost) model.discard(computed);
      throw error instanceof RangeError ? this.#explained(error) : error;
    }
  }

  /** What to do about logits that are no numbers. */
  #explained({ message }: RangeError): RangeError {
    if (this.#size.element === "f32") return new RangeError(message);
    return new RangeError(
      `${message}. Where a model's numbers are too large for f16, set EVERSTREAM_GPU_ROWS=f32`,
    );
  }

  #appended(model: GpuModel, chunk: DecodeChunk): void {
    const { slot, tokens, starts } = chunk;
    this.#book.append(chunk);
    const history = this.#histories[slot]!;
    history.append(tokens, starts);
    const held = this.#book.opened(slot);
    const most = Math.max(
      held.policy.capacity,
      this.#size.repeated ?? REPEATED,
    );
    if (history.copying || history.tokens.length <= most) return;
    const data = model.saveInPassing(this.#whereabouts(slot), held);
    if (!data) return;
    history.restart(this.#snapshot(slot, held, this.#checked(model, data)));
  }

  /** Steps that one run can take, as slots of one bank. */
  #byBank<C extends DecodeChunk>(model: GpuModel, steps: readonly C[]): C[][] {
    const banks = Map.groupBy(steps, ({ slot }) => model.place(slot).bank);
    return [...banks.values()].map((part) =>
      part.toSorted((a, b) => a.slot - b.slot)
    );
  }

  /** All slots of a bank up to the last one that steps; those between idle. */
  #lanes(model: GpuModel, part: readonly DecodeChunk[]): (TokenLane | null)[] {
    const last = part.at(-1)!.slot;
    const first = last - model.place(last).index;
    const steps = new Map(part.map((chunk) => [chunk.slot, chunk]));
    return Array.from({ length: last - first + 1 }, (_, index) => {
      const step = steps.get(first + index);
      if (step) return this.#lane(step);
      const held = this.#book.at(first + index);
      return held && { ...held, count: 0, tokens: [], logits: 0 };
    });
  }

  #lane(chunk: DecodeChunk): TokenLane {
    const { tokens, logits } = chunk;
    const held = this.#book.before(chunk);
    return { ...held, count: tokens.length, tokens, logits };
  }

  /** A copy of a slot whose bytes are on their way. */
  #snapshot(
    slot: number,
    held: Held,
    data: Promise<ArrayBuffer>,
  ): GpuSnapshot {
    const rows = heldRows(stageRows(this.#size), held);
    return snapshotOf({
      ...held,
      bytes: rows * this.tokenBytes,
      data,
      rows,
      layout: this.#layout,
      way: this.#histories[slot]!.way,
    });
  }

  /** Bytes from a device that had no error until they came. */
  async #checked(
    model: GpuModel,
    data: Promise<ArrayBuffer>,
  ): Promise<ArrayBuffer> {
    const bytes = await data;
    this.#device.check(model);
    return bytes;
  }

  /** Where a slot's conversation is. */
  #whereabouts(slot: number): number | "stage" {
    return this.#staged === slot ? "stage" : slot;
  }

  /** Brings what is on the stage into its slot. */
  #clearStage(model: GpuModel): void {
    if (this.#staged === null) return;
    model.store(this.#staged, this.#book.opened(this.#staged));
    this.#staged = null;
  }

  /** What is on the stage is forgotten, if it is of this slot. */
  #leaveStage(slot: number): void {
    if (this.#staged === slot) this.#staged = null;
  }

  /** Does one thing after the other. */
  #exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => {});
    return result;
  }

  /** Brings all conversations onto a device where there are none. */
  async #bringBack(model: GpuModel): Promise<void> {
    this.#staged = null;
    for (const [slot, history] of this.#histories.entries()) {
      const held = this.#book.at(slot);
      if (!held || held.seen === 0) continue;
      try {
        await replay(model, { slot, policy: held.policy }, history!.way);
      } catch (error) {
        if (error instanceof GpuLostError) throw error;
        this.#broken.add(slot); // the others go on
      }
    }
  }
}

/**
 * Whether a chunk runs in its slot, beside others. Sinks' copies for a slot's next token are there
 * before it is known; where that token begins a message they may stand elsewhere.
 */
function isStep({ tokens, starts = [] }: DecodeChunk): boolean {
  return tokens.length === 1 && starts.length === 0;
}

/** Rows of logits that a run gives of a chunk: at least one, which tells whether they are numbers. */
function rowsOf({ logits }: DecodeChunk): number {
  return Math.max(1, logits);
}
