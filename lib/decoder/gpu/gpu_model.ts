/**
 * A model on one GPU device: session, slots' memory, kernels. It is made anew when the device is lost;
 * what must outlive that is the decoder's.
 *
 * Slots lie in banks, side by side; a run takes the first slots of one. A chunk of one slot runs in a
 * memory of its own, the stage: ONNX Runtime binds a tensor from its buffer's beginning only, and a
 * chunk needs more spare rows than every slot should pay for.
 *
 * @module
 */
import {
  type GpuRows,
  heldRows,
  placements,
  planAppend,
  rowCount,
} from "../../cache/gpu_rows.ts";
import type { CacheTensor } from "../../cache/layout.ts";
import type { Held } from "../../cache/sink_window.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { GpuGraph } from "../../engine/gpu_session.ts";
import type { DecoderPlan } from "../../graph/convert.ts";
import type { LogitSummary, SummaryRequest } from "../../sampling/summary.ts";
import type { Element } from "../../../kernels/element.ts";
import { Pipelines } from "../../../kernels/pipelines.ts";
import { SampleKernel } from "../../../kernels/sample.ts";
import { SlotCopy } from "../../../kernels/slot_copy.ts";
import type { EmbeddingTable } from "../embedding_table.ts";
import { AngleTable } from "./angle_table.ts";
import { gpuSlotBytes } from "./gpu_size.ts";
import { claimPacked, type Packed } from "./packed_slot.ts";
import { Reader, type Reading, readOnce } from "./reader.ts";
import { RunBuffers, type TokenLane } from "./run_buffers.ts";
import { copiesForChunk, copiesForNext } from "./sink_moves.ts";
import { type BankShape, SlotBank, type SlotMove } from "./slot_bank.ts";

/** What a model is made of, on any device. */
export interface GpuModelSource {
  /** Opens the graph on a device. */
  readonly openSession: (gpu: Gpu) => Promise<GpuGraph>;
  readonly plan: DecoderPlan;
  readonly embeddings: EmbeddingTable;
}

/** How much of it there is. */
export interface GpuModelSize {
  readonly slots: number;
  /** Slots of a bank at most. */
  readonly bankSlots: number;
  /** Rows of a slot in a bank, and of the stage; `copies` of the stage is what a chunk past capacity may have. */
  readonly rows: GpuRows;
  readonly stageRows: GpuRows;
  readonly element: Element;
}

/** A run that was computed: nothing of it is in the cache yet. */
export interface ComputedRun {
  readonly bank: SlotBank;
  readonly lanes: readonly (TokenLane | null)[];
  readonly append: number;
}

/** Changes of logits that have room at first. */
const CHANGES = 1024;

/** A model on one device. */
export class GpuModel {
  readonly gpu: Gpu;
  readonly banks: readonly SlotBank[];
  readonly stage: SlotBank;
  readonly #source: GpuModelSource;
  readonly #session: GpuGraph;
  readonly #shape: BankShape;
  readonly #runs: RunBuffers;
  readonly #reader: Reader;
  /** Through which conversations are copied while they go on. */
  readonly #passing: Reader;
  readonly #sample: SampleKernel;
  readonly #copy: SlotCopy;

  private constructor(
    gpu: Gpu,
    source: GpuModelSource,
    parts: {
      session: GpuGraph;
      shape: BankShape;
      banks: readonly SlotBank[];
      stage: SlotBank;
      runs: RunBuffers;
      reader: Reader;
      passing: Reader;
      sample: SampleKernel;
      copy: SlotCopy;
    },
  ) {
    this.gpu = gpu;
    this.#source = source;
    this.banks = parts.banks;
    this.stage = parts.stage;
    this.#session = parts.session;
    this.#shape = parts.shape;
    this.#runs = parts.runs;
    this.#reader = parts.reader;
    this.#passing = parts.passing;
    this.#sample = parts.sample;
    this.#copy = parts.copy;
  }

  /**
   * Opens the graph and claims all memory.
   *
   * @throws {Error} if the device has not enough of it, or the graph does not open; all is freed then.
   */
  static async open(
    gpu: Gpu,
    source: GpuModelSource,
    size: GpuModelSize,
  ): Promise<GpuModel> {
    const { plan, embeddings } = source;
    const session = await source.openSession(gpu);
    try {
      return await gpu.checked("claim the memory of all slots", async () => {
        const { element, rows, stageRows, bankSlots } = size;
        const { shape, attention } = plan;
        const angles = new AngleTable(shape);
        const { tensors } = attention;
        const bankShape = { layers: shape.layers, tensors, element, angles };
        const on = { gpu, session, pipelines: new Pipelines(gpu.device) };
        const claim = (purpose: "caches" | "scratch", slots: number) =>
          SlotBank.claim(on, bankShape, {
            purpose,
            slots,
            rows: purpose === "caches" ? rows : stageRows,
            moves: purpose === "caches"
              ? slots * (1 + rows.sinks)
              : stageRows.spare + stageRows.copies * rows.sinks,
          });
        const banks: SlotBank[] = [];
        for (let first = 0; first < size.slots; first += bankSlots) {
          const slots = Math.min(bankSlots, size.slots - first);
          banks.push(await claim("caches", slots));
        }
        const stage = await claim("scratch", 1);
        const runs = new RunBuffers({
          gpu,
          session,
          shape,
          embeddings,
          angles,
          element,
        }, {
          steps: { lanes: banks[0]!.slots, rows },
          chunk: { tokens: stageRows.spare, rows: stageRows },
        });
        const { logits, most } = runs;
        const { vocabulary } = shape;
        const [{ heads, width }] = tensors as [CacheTensor];
        const { pipelines } = on;
        return new GpuModel(gpu, source, {
          session,
          shape: bankShape,
          banks,
          stage,
          runs,
          reader: new Reader(gpu, "landing_logits", most * vocabulary * 4),
          passing: new Reader(
            gpu,
            "landing_copies",
            stage.bytesOf(rows.sinks + rows.window),
          ),
          sample: await SampleKernel.create(pipelines, {
            logits,
            rows: most,
            vocabulary,
            changes: CHANGES,
          }),
          copy: await SlotCopy.create(pipelines, { heads, width, element }),
        });
      });
    } catch (error) {
      await session.release().catch(() => {});
      throw error;
    }
  }

  /** Bytes of one slot, with its share of spare rows. */
  get slotBytes(): number {
    return gpuSlotBytes(this.#shape, this.banks[0]!.rows);
  }

  /** Bytes of a copy of a conversation, for each row that it holds. */
  get rowBytes(): number {
    return this.stage.bytesOf(1);
  }

  /** Bytes of one token in all layers. */
  get tokenBytes(): number {
    return this.slotBytes / rowCount(this.banks[0]!.rows);
  }

  /** The bank of a slot, and the slot's number in there. */
  place(slot: number): { bank: SlotBank; index: number } {
    const { slots } = this.banks[0]!;
    return {
      bank: this.banks[Math.floor(slot / slots)]!,
      index: slot % slots,
    };
  }

  /**
   * Computes tokens of the first slots of a bank, or of the stage's. No slot changes but in rows that
   * hold nothing, until {@linkcode commit}; if it fails, those are cleared.
   *
   * @throws {RangeError} if there is no such token
   * @throws {Error} if the device fails
   */
  async compute(
    bank: SlotBank,
    lanes: readonly (TokenLane | null)[],
  ): Promise<ComputedRun> {
    const staged = bank === this.stage;
    const plan = planAppend(bank.rows, lanes, !staged);
    const run = { bank, lanes, append: plan.append };
    try {
      await this.gpu.checked("run the model", async () => {
        const { inputs, outputs } = this.#runs.write(bank.rows, lanes, plan);
        if (staged) bank.move(copiesForChunk(bank, lanes[0]!));
        const caches = bank.bind(lanes.length);
        await this.#session.run({ ...inputs, ...caches.inputs }, {
          ...outputs,
          ...caches.outputs,
        });
      });
      return run;
    } catch (error) {
      if (!this.gpu.isLost) this.discard(run);
      throw error;
    }
  }

  /** Puts the rows of a run into their places. */
  commit({ bank, lanes, append }: ComputedRun): void {
    const moves: SlotMove[] = [];
    for (const [slot, lane] of lanes.entries()) {
      if (!lane || lane.count === 0) continue;
      for (const move of placements(bank.rows, lane, append + slot)) {
        moves.push({ ...move, slot, shift: 0 });
      }
      if (bank === this.stage) continue;
      const { policy, seen, count } = lane;
      moves.push(
        ...copiesForNext(bank, slot, { policy, seen: seen + count }),
      );
    }
    bank.move(moves);
  }

  /** Undoes what a run left in rows that hold nothing: no numbers, or worse. */
  discard({ bank, lanes }: ComputedRun): void {
    const { device } = this.gpu;
    const encoder = device.createCommandEncoder();
    const refresh: SlotMove[] = [];
    for (const [slot, lane] of lanes.entries()) {
      bank.clearSpare(encoder, slot, lane ? heldRows(bank.rows, lane) : 0);
      if (lane && bank !== this.stage) {
        refresh.push(...copiesForNext(bank, slot, lane));
      }
    }
    device.queue.submit([encoder.finish()]);
    bank.move(refresh);
  }

  /** Logits of the last run, `[rows, vocabulary]`, from row `first` on. */
  async readLogits(
    first: number,
    rows: number,
  ): Promise<Float32Array<ArrayBuffer>> {
    const row = this.#source.plan.shape.vocabulary * 4;
    const bytes = rows * row;
    return new Float32Array(
      await this.#reader.read({
        what: "read logits",
        bytes,
        copy: (encoder, landing) =>
          encoder.copyBufferToBuffer(
            this.#runs.logits,
            first * row,
            landing,
            0,
            bytes,
          ),
      }),
    );
  }

  /** What was asked of rows of the last run's logits. */
  summarise(
    requests: readonly { row: number; request: SummaryRequest }[],
  ): Promise<LogitSummary[]> {
    return this.gpu.alive("sample", () => this.#sample.run(requests));
  }

  /** Brings a conversation onto the stage. */
  load(slot: number, held: Held): void {
    const { bank, index } = this.place(slot);
    this.#copySlot(bank, index, this.stage, 0, held);
  }

  /** Brings the conversation on the stage into its slot. */
  store(slot: number, held: Held): void {
    const { bank, index } = this.place(slot);
    this.#copySlot(this.stage, 0, bank, index, held);
    bank.move(copiesForNext(bank, index, held));
  }

  /** Copies what is kept of the conversation on the stage, on the device. */
  park(held: Held): Packed {
    const packed = claimPacked(this.gpu, this.#shape, {
      held,
      rows: heldRows(this.stage.rows, held),
    });
    const { blocks, rows } = packed;
    const from = this.stage.blocks(0);
    this.#copy.run(from.map((from, i) => ({ from, to: blocks[i]!, rows })));
    return packed;
  }

  /** Puts a copy into a slot and frees it. */
  unpark(slot: number, { buffer, blocks, rows, held }: Packed): void {
    const { bank, index } = this.place(slot);
    const to = bank.blocks(index);
    this.#copy.run(to.map((to, i) => ({ from: blocks[i]!, to, rows })));
    bank.move(copiesForNext(bank, index, held));
    buffer.destroy(); // once the queue is done with it
  }

  /** Frees a copy that goes nowhere. */
  drop({ buffer }: Packed): void {
    buffer.destroy();
  }

  /**
   * Copies what is kept of a slot, or of the stage, to the host: for each layer keys, then values,
   * `[heads, rows, width]`. The copy is of this moment; its bytes come later.
   */
  save(slot: number | "stage", held: Held): Promise<ArrayBuffer> {
    return readOnce(this.gpu, this.#reading(slot, held));
  }

  /** Likewise, through memory that was claimed beforehand; `null` if that is in use. */
  saveInPassing(
    slot: number | "stage",
    held: Held,
  ): Promise<ArrayBuffer> | null {
    if (this.#passing.busy) return null;
    return this.#passing.read(this.#reading(slot, held));
  }

  /**
   * Puts saved bytes into a slot.
   *
   * @param given rows of each head in them: at least those that are held
   * @throws {Error} if the device fails
   */
  async restore(
    slot: number,
    held: Held,
    { data, given }: { data: ArrayBuffer; given: number },
  ): Promise<void> {
    const { bank, index } = this.place(slot);
    const rows = heldRows(bank.rows, held);
    await this.gpu.checked("restore a conversation", () => {
      bank.write(index, data, { given, rows });
      bank.move(copiesForNext(bank, index, held));
    });
  }

  /** Frees the device with all that is on it. */
  async release(): Promise<void> {
    for (const bank of [...this.banks, this.stage]) bank.destroy();
    this.#runs.destroy();
    this.#reader.destroy();
    this.#passing.destroy();
    this.#sample.destroy();
    this.#copy.destroy();
    await this.#session.release();
    this.gpu.release();
  }

  #copySlot(
    from: SlotBank,
    fromSlot: number,
    to: SlotBank,
    toSlot: number,
    held: Held,
  ): void {
    const rows = heldRows(this.stage.rows, held);
    const targets = to.blocks(toSlot);
    this.#copy.run(
      from.blocks(fromSlot).map((block, i) => ({
        from: block,
        to: targets[i]!,
        rows,
      })),
    );
  }

  #reading(slot: number | "stage", held: Held): Reading {
    const { bank, index } = slot === "stage"
      ? { bank: this.stage, index: 0 }
      : this.place(slot);
    const rows = heldRows(bank.rows, held);
    return {
      what: "save a conversation",
      bytes: bank.bytesOf(rows),
      copy: (encoder, landing) =>
        bank.copyOut(encoder, { slot: index, rows }, landing),
    };
  }
}
