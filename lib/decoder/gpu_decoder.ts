/**
 * The decoder on a GPU: caches, new rows and logits stay there. Runs, copies and what a lost device
 * takes with it are put together here; the device itself is {@linkcode GpuModel}'s.
 *
 * @module
 */
import { chunkLimit, heldRows } from "../cache/gpu_rows.ts";
import type { Held, SinkWindow } from "../cache/sink_window.ts";
import type { GpuBytes } from "../engine/gpu.ts";
import type { Sample, Sampler } from "../sampling/mod.ts";
import type { LogitSummary, SummaryRequest } from "../sampling/summary.ts";
import type { DecodeChunk, Decoder, SampledChunk } from "./decoder.ts";
import type {
  ComputedRun,
  GpuModel,
  GpuModelSource,
  Packed,
} from "./gpu/gpu_model.ts";
import { type GpuSize, stageRows } from "./gpu/gpu_size.ts";
import { type GpuSnapshot, History, snapshotOf } from "./gpu/history.ts";
import { LastingModel, type ModelOpening } from "./gpu/lasting_model.ts";
import { type OpenGpu, openGpuModel } from "./gpu/open_model.ts";
import { replay } from "./gpu/replay.ts";
import type { TokenLane } from "./gpu/run_buffers.ts";
import { SlotBook } from "./slot_book.ts";

/** Tokens after which a conversation is copied to the host at the earliest, unless told otherwise. */
const REPEATED = 512;

/** Asked where all logits will be read. */
const ANYTHING: SummaryRequest = {
  temperature: 1,
  fraction: 0,
  changes: [],
};

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
  readonly #size: GpuSize;
  /** Bytes of a copy of a conversation, for each row that it holds. */
  readonly #rowBytes: number;
  readonly #book: SlotBook;
  readonly #histories: (History | null)[];
  readonly #device: LastingModel;
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
    this.#rowBytes = model.rowBytes;
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
    this.#book.put(slot, { policy, seen: 0 });
    this.#histories[slot] = new History(null);
    this.#leaveStage(slot);
  }

  seen(slot: number): number {
    return this.#book.at(slot)?.seen ?? 0;
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
      ? model.save(this.#whereabouts(slot), held)
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
    const { policy, seen } = snapshot;
    const arrived = { copy: snapshot, tokens: [] };
    const way = await snapshot.data.then(() => arrived, () => snapshot.way!);
    await this.#exclusively(() =>
      this.#device.use(async (model) => {
        this.open(slot, policy); // if this fails, neither conversation is there
        this.#clearStage(model);
        await replay(model, { slot, policy }, way);
        this.#book.put(slot, { policy, seen });
        this.#histories[slot] = new History(way.copy, way.tokens);
      })
    );
  }

  async run(chunks: readonly DecodeChunk[]): Promise<Float32Array[]> {
    return await this.#append(chunks, async (model, part) => {
      const last = part.at(-1)!;
      const rows = last.row + rowsOf(last.chunk);
      const logits = await model.readLogits(0, rows);
      checkFinite(logits);
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

    const steps = chunks.filter(({ tokens }) => tokens.length === 1);
    if (steps.some(({ slot }) => slot === this.#staged)) {
      this.#clearStage(model);
    }
    for (const part of this.#byBank(model, steps)) {
      const { bank } = model.place(part[0]!.slot);
      const lanes = this.#lanes(model, part);
      const run = await compute(model.compute(bank, lanes), part);
      commits.push(() => model.commit(run));
    }

    const long = chunks.filter(({ tokens }) => tokens.length > 1);
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
          const { policy, seen, count } = lane;
          const packed = model.park({ policy, seen: seen + count });
          parked.push(packed);
          commits.push(() => model.unpark(slot, packed));
        }
      }
    } catch (error) {
      for (const packed of parked) model.drop(packed);
      throw error;
    }

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
      throw error;
    }
  }

  #appended(model: GpuModel, { slot, tokens }: DecodeChunk): void {
    this.#book.append(slot, tokens.length);
    const history = this.#histories[slot]!;
    history.append(tokens);
    const held = this.#book.opened(slot);
    const most = Math.max(
      held.policy.capacity,
      this.#size.repeated ?? REPEATED,
    );
    if (history.copying || history.tokens.length <= most) return;
    const data = model.saveInPassing(this.#whereabouts(slot), held);
    if (data) history.restart(this.#snapshot(slot, held, data));
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

  #lane({ slot, tokens, logits }: DecodeChunk): TokenLane {
    const { policy, seen } = this.#book.opened(slot);
    return { policy, seen, count: tokens.length, tokens, logits };
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
      bytes: rows * this.#rowBytes,
      data,
      rows,
      layout: this.#layout,
      way: this.#histories[slot]!.way,
    });
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
      await replay(model, { slot, policy: held.policy }, history!.way);
    }
  }
}

/** Rows of logits that a run gives of a chunk: at least one, which tells whether they are numbers. */
function rowsOf({ logits }: DecodeChunk): number {
  return Math.max(1, logits);
}

function checkFinite(logits: Float32Array): void {
  let sum = 0; // f64: finite f32 values cannot make it overflow
  for (let i = 0; i < logits.length; i++) sum += logits[i]!;
  if (!Number.isFinite(sum)) {
    throw new Error("The engine gave logits that are no numbers");
  }
}

/** What a sampler chooses from. */
type Choice = { summary: LogitSummary } | { logits: Float32Array };

/** A summary for each sampler for which that is enough, and all logits for the others. */
async function findChoices(
  model: GpuModel,
  part: readonly { chunk: { sampler: Sampler }; row: number }[],
): Promise<Choice[]> {
  const asked = part.map(({ chunk, row }) => ({
    row,
    request: chunk.sampler.request(),
  }));
  // Logits that are read whole are summarised, too: that tells whether they are numbers.
  const summaries = await model.summarise(
    asked.map(({ row, request }) => ({ row, request: request ?? ANYTHING })),
  );
  const found: Choice[] = [];
  for (const [i, { row, request }] of asked.entries()) {
    const summary = summaries[i]!;
    found.push(
      request && part[i]!.chunk.sampler.enough(summary)
        ? { summary }
        : { logits: await model.readLogits(row, 1) },
    );
  }
  return found;
}

function choose(sampler: Sampler, choice: Choice): Promise<Sample> {
  return Promise.try(() =>
    "logits" in choice
      ? sampler.sample(choice.logits)
      : sampler.fromSummary(choice.summary)!
  );
}
