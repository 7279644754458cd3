/**
 * The decoder on a GPU: caches, new rows and logits stay there. Runs, copies and what a lost device
 * takes with it are put together here; the device itself is {@linkcode GpuModel}'s.
 *
 * @module
 */
import { chunkLimit, type GpuRows } from "../cache/gpu_rows.ts";
import type { Held, SinkWindow } from "../cache/sink_window.ts";
import { type GpuBytes, GpuLostError } from "../engine/gpu.ts";
import type { Sample, Sampler } from "../sampling/mod.ts";
import type { LogitSummary, SummaryRequest } from "../sampling/summary.ts";
import type { DecodeChunk, Decoder, SampledChunk } from "./decoder.ts";
import type { ComputedRun, GpuModel, GpuModelSource } from "./gpu/gpu_model.ts";
import { type GpuSnapshot, History } from "./gpu/history.ts";
import type { GpuSize } from "./gpu/gpu_size.ts";
import { type OpenGpu, openGpuModel } from "./gpu/open_model.ts";
import type { TokenLane } from "./gpu/run_buffers.ts";
import { SlotBook } from "./slot_book.ts";

/** Devices that are lost in one run before it fails. */
const MOST_LOSSES = 3;

/** Tokens after which a conversation is copied to the host at the earliest. */
const LEAST_REPEATED = 512;

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
  readonly #open: OpenGpu;
  readonly #source: GpuModelSource;
  readonly #size: GpuSize;
  readonly #stageRows: GpuRows;
  readonly #book: SlotBook;
  readonly #histories: (History | null)[];
  #model: GpuModel;
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
    return new GpuDecoder(
      { open, source, size },
      await openGpuModel(open, source, size),
    );
  }

  private constructor(
    { open, source, size }: {
      open: OpenGpu;
      source: GpuModelSource;
      size: GpuSize;
    },
    model: GpuModel,
  ) {
    this.#open = open;
    this.#source = source;
    this.#size = size;
    this.#model = model;
    this.#stageRows = model.stage.rows;
    this.vocabulary = source.plan.shape.vocabulary;
    this.slots = size.slots;
    this.chunk = size.chunk;
    this.room = { sinks: size.sinks, window: size.window };
    this.slotBytes = model.slotBytes;
    this.#book = new SlotBook({
      slots: size.slots,
      room: this.room,
      limit: (held) => chunkLimit(this.#stageRows, held),
    });
    this.#histories = Array(size.slots).fill(null);
  }

  get cacheBytes(): number {
    return this.slots * this.slotBytes;
  }

  /** Bytes on the device, by purpose. */
  get gpuBytes(): GpuBytes {
    return this.#model.gpu.bytes;
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
    if (this.#staged === slot) this.#clearStage();
    const { bytes, data } = this.#model.save(slot, held);
    return { ...held, bytes, data, layout: this.#layout };
  }

  async restore(slot: number, snapshot: GpuSnapshot): Promise<void> {
    this.#book.at(slot);
    this.#book.checkRoom(snapshot.policy);
    if (snapshot.layout !== this.#layout) {
      throw new RangeError(
        `Cannot restore a cache of ${snapshot.layout} into a slot of ${this.#layout}`,
      );
    }
    const data = await snapshot.data;
    await this.#exclusively(() =>
      this.#withDevice((model) => {
        const { policy, seen } = snapshot;
        model.restore(slot, { policy, seen }, data);
        this.#book.put(slot, { policy, seen });
        this.#histories[slot] = new History(snapshot);
        this.#leaveStage(slot);
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
    await this.#exclusively(() => this.#model.release());
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
      return this.#withDevice((model) => this.#compute(model, chunks, take));
    });
  }

  async #compute<C extends DecodeChunk, T>(
    model: GpuModel,
    chunks: readonly C[],
    take: Take<C, T>,
  ): Promise<T[]> {
    const results = new Map<C, T>();
    const commits: (() => void)[] = [];
    const compute = async (
      run: () => Promise<ComputedRun>,
      part: readonly C[],
    ) => {
      const computed = await run();
      let row = 0;
      const rows = part.map((chunk) => {
        const first = row;
        row += rowsOf(chunk);
        return { chunk, row: first };
      });
      try {
        const taken = await take(model, rows);
        for (const [i, chunk] of part.entries()) results.set(chunk, taken[i]!);
      } catch (error) {
        model.discard(computed);
        throw error;
      }
      return computed;
    };

    const steps = chunks.filter(({ tokens }) => tokens.length === 1);
    if (steps.some(({ slot }) => slot === this.#staged)) this.#clearStage();
    for (const part of this.#byBank(model, steps)) {
      const { bank } = model.place(part[0]!.slot);
      const lanes = this.#lanes(model, part);
      const run = await compute(() => model.compute(bank, lanes), part);
      commits.push(() => model.commit(run));
    }

    const long = chunks.filter(({ tokens }) => tokens.length > 1);
    for (const chunk of long) {
      const { slot } = chunk;
      const lane = this.#lane(chunk);
      const goesOn = this.#staged === slot && long.length === 1;
      if (!goesOn) this.#clearStage();
      if (!goesOn && lane.seen > 0) model.load(slot, lane);
      const run = await compute(
        () => model.compute(model.stage, [lane]),
        [chunk],
      );
      if (long.length === 1) {
        commits.push(() => {
          model.commit(run);
          this.#staged = slot;
        });
      } else {
        model.commit(run); // on the stage alone: the slot is still as it was
        const { policy, seen, count } = lane;
        const parked = model.park({ policy, seen: seen + count });
        commits.push(() => model.unpark(slot, parked));
      }
    }

    for (const commit of commits) commit();
    for (const chunk of chunks) this.#appended(chunk);
    return chunks.map((chunk) => results.get(chunk)!);
  }

  #appended({ slot, tokens }: DecodeChunk): void {
    this.#book.append(slot, tokens.length);
    const history = this.#histories[slot]!;
    history.append(tokens);
    const { capacity } = this.#book.opened(slot).policy;
    if (history.tokens.length > Math.max(capacity, LEAST_REPEATED)) {
      if (!history.copying) history.restart(this.save(slot));
    }
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

  /** Brings what is on the stage into its slot. */
  #clearStage(): void {
    if (this.#staged === null) return;
    this.#model.store(this.#staged, this.#book.opened(this.#staged));
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

  /** Works on a device; when it is lost, brings all conversations back on another and works again. */
  async #withDevice<T>(work: (model: GpuModel) => T | Promise<T>): Promise<T> {
    for (let losses = 1;; losses++) {
      try {
        if (this.#model.gpu.isLost) await this.#recover();
        return await work(this.#model);
      } catch (error) {
        if (!(error instanceof GpuLostError) || losses === MOST_LOSSES) {
          throw error;
        }
      }
    }
  }

  async #recover(): Promise<void> {
    this.#staged = null;
    await this.#model.release();
    this.#model = await openGpuModel(
      this.#open,
      this.#source,
      this.#size,
    );
    for (const [slot, history] of this.#histories.entries()) {
      const held = this.#book.at(slot);
      if (held && held.seen > 0) await this.#replay(slot, held, history!);
    }
  }

  /** Brings a conversation back into its slot. */
  async #replay(
    slot: number,
    { policy }: Held,
    { copy, tokens }: History,
  ): Promise<void> {
    const model = this.#model;
    let seen = copy?.seen ?? 0;
    if (copy) model.restore(slot, { policy, seen }, await copy.data);
    if (tokens.length === 0) return;
    model.load(slot, { policy, seen });
    for (let at = 0; at < tokens.length;) {
      const limit = chunkLimit(this.#stageRows, { policy, seen });
      const part = tokens.slice(at, at + limit);
      const count = part.length;
      const lane = { policy, seen, count, tokens: part, logits: 0 };
      model.commit(await model.compute(model.stage, [lane]));
      at += count;
      seen += count;
    }
    model.store(slot, { policy, seen });
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
