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
import { heldRows, placements, planAppend } from "../../cache/gpu_rows.ts";
import { appended, type Held } from "../../cache/held.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { GpuGraph } from "../../engine/gpu_session.ts";
import type { LogitSummary, SummaryRequest } from "../../sampling/summary.ts";
import type { SampleKernel } from "../../../kernels/sample.ts";
import type { SlotCopy } from "../../../kernels/slot_copy.ts";
import { gpuSlotBytes } from "./gpu_size.ts";
import { claimPacked, type Packed } from "./packed_slot.ts";
import { type Reader, type Reading, readOnce } from "./reader.ts";
import type { RunBuffers, TokenLane } from "./run_buffers.ts";
import { copiesForChunk, copiesForNext } from "./sink_moves.ts";
import type { BankShape, SlotBank, SlotMove } from "./slot_bank.ts";

/** A run that was computed: nothing of it is in the cache yet. */
export interface ComputedRun {
  readonly bank: SlotBank;
  readonly lanes: readonly (TokenLane | null)[];
  readonly append: number;
}

/** What a model is made of on its device. */
export interface GpuModelParts {
  readonly session: GpuGraph;
  readonly shape: BankShape;
  readonly vocabulary: number;
  readonly banks: readonly SlotBank[];
  readonly stage: SlotBank;
  readonly runs: RunBuffers;
  /** Through which logits are read. */
  readonly reader: Reader;
  /** Through which conversations are copied while they go on. */
  readonly passing: Reader;
  readonly sample: SampleKernel;
  readonly copy: SlotCopy;
}

/** A model on one device. */
export class GpuModel {
  readonly gpu: Gpu;
  readonly #parts: GpuModelParts;

  constructor(gpu: Gpu, parts: GpuModelParts) {
    this.gpu = gpu;
    this.#parts = parts;
  }

  get banks(): readonly SlotBank[] {
    return this.#parts.banks;
  }

  get stage(): SlotBank {
    return this.#parts.stage;
  }

  /** Bytes of one slot, with its share of spare rows. */
  get slotBytes(): number {
    return gpuSlotBytes(this.#parts.shape, this.banks[0]!.rows);
  }

  /** Bytes of a copy of a conversation, for each row that it holds. */
  get rowBytes(): number {
    return this.stage.bytesOf(1);
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
        const { inputs, outputs } = this.#parts.runs.write(
          bank.rows,
          lanes,
          plan,
        );
        if (staged) bank.move(copiesForChunk(bank, lanes[0]!));
        const caches = bank.bind(lanes.length);
        await this.#parts.session.run({ ...inputs, ...caches.inputs }, {
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
      moves.push(...copiesForNext(bank, slot, appended(lane, lane.count)));
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
    const row = this.#parts.vocabulary * 4;
    const bytes = rows * row;
    return new Float32Array(
      await this.#parts.reader.read({
        what: "read logits",
        bytes,
        copy: (encoder, landing) =>
          encoder.copyBufferToBuffer(
            this.#parts.runs.logits,
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
    return this.gpu.alive("sample", () => this.#parts.sample.run(requests));
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
    const packed = claimPacked(this.gpu, this.#parts.shape, {
      held,
      rows: heldRows(this.stage.rows, held),
    });
    const { blocks, rows } = packed;
    const from = this.stage.blocks(0);
    this.#parts.copy.run(
      from.map((from, i) => ({ from, to: blocks[i]!, rows })),
    );
    return packed;
  }

  /** Puts a copy into a slot and frees it. */
  unpark(slot: number, { buffer, blocks, rows, held }: Packed): void {
    const { bank, index } = this.place(slot);
    const to = bank.blocks(index);
    this.#parts.copy.run(to.map((to, i) => ({ from: blocks[i]!, to, rows })));
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
    if (this.#parts.passing.busy) return null;
    return this.#parts.passing.read(this.#reading(slot, held));
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
    this.#parts.runs.destroy();
    this.#parts.reader.destroy();
    this.#parts.passing.destroy();
    this.#parts.sample.destroy();
    this.#parts.copy.destroy();
    await this.#parts.session.release();
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
    this.#parts.copy.run(
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
