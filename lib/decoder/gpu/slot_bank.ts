/**
 * Slots whose caches lie side by side in GPU memory, so that one run can take them together. Their
 * memory is claimed at once, and handed to the graph as it is, as input and as output.
 *
 * @module
 */
import { type GpuRows, type Move, rowCount } from "../../cache/gpu_rows.ts";
import type { CacheTensor } from "../../cache/layout.ts";
import type { Gpu, Purpose } from "../../engine/gpu.ts";
import type { GpuGraph, GpuTensor } from "../../engine/gpu_session.ts";
import { writtenTensor } from "../../graph/attention/fused_grouped_query.ts";
import { bytesOf, type Element } from "../../../kernels/element.ts";
import type { Pipelines } from "../../../kernels/pipelines.ts";
import { RingWrite } from "../../../kernels/ring_write.ts";
import type { RowBlock } from "../../../kernels/row_block.ts";
import type { AngleTable } from "../angle_table.ts";

/** What all banks of a model have in common. */
export interface BankShape {
  readonly layers: number;
  /** A layer's cache: keys, then values, of as many heads and as wide. */
  readonly tensors: readonly CacheTensor[];
  readonly element: Element;
  readonly angles: AngleTable;
}

/** A move within one slot; its key is rotated on by `shift` positions. */
export interface SlotMove extends Move {
  readonly slot: number;
  readonly shift: number;
}

/** Memory of some slots. */
export class SlotBank {
  readonly rows: GpuRows;
  readonly slots: number;
  readonly #gpu: Gpu;
  readonly #shape: BankShape;
  readonly #session: GpuGraph;
  /** By layer: keys, values; `[slots, heads, rows, width]` each. */
  readonly #buffers: readonly (readonly GPUBuffer[])[];
  readonly #write: RingWrite;
  /** By the number of slots that a run takes. */
  readonly #bindings = new Map<
    number,
    { inputs: Record<string, GpuTensor>; outputs: Record<string, GpuTensor> }
  >();

  private constructor(
    of: {
      gpu: Gpu;
      shape: BankShape;
      session: GpuGraph;
      rows: GpuRows;
      slots: number;
    },
    buffers: readonly (readonly GPUBuffer[])[],
    write: RingWrite,
  ) {
    this.#gpu = of.gpu;
    this.rows = of.rows;
    this.slots = of.slots;
    this.#shape = of.shape;
    this.#session = of.session;
    this.#buffers = buffers;
    this.#write = write;
  }

  /** Claims the memory, zeroed. */
  static async claim(
    on: { gpu: Gpu; session: GpuGraph; pipelines: Pipelines },
    shape: BankShape,
    of: { rows: GpuRows; slots: number; purpose: Purpose; moves: number },
  ): Promise<SlotBank> {
    const { layers, tensors, element, angles } = shape;
    const { rows, slots } = of;
    const [{ heads, width }] = tensors as [CacheTensor];
    const size = slots * heads * rowCount(rows) * width * bytesOf(element);
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const buffers = Array.from(
      { length: layers },
      (_, layer) =>
        tensors.map(({ name }) =>
          on.gpu.buffer(of.purpose, {
            label: `${name}_${layer}`,
            size,
            usage: STORAGE | COPY_SRC | COPY_DST,
          })
        ),
    );
    const write = await RingWrite.create(on.pipelines, {
      layers: buffers.map(([keys, values]) => ({
        keys: keys!,
        values: values!,
      })),
      slots,
      heads,
      rows: rowCount(rows),
      width,
      rotated: 2 * angles.half,
      element,
      most: of.moves,
      angles: of.moves,
    });
    return new SlotBank({ ...of, ...on, shape }, buffers, write);
  }

  /** The caches of the first `slots` slots, as inputs and as outputs. */
  bind(
    slots: number,
  ): { inputs: Record<string, GpuTensor>; outputs: Record<string, GpuTensor> } {
    const bound = this.#bindings.get(slots);
    if (bound) return bound;
    const inputs: Record<string, GpuTensor> = {};
    const outputs: Record<string, GpuTensor> = {};
    const type = this.#shape.element === "f16" ? "float16" : "float32";
    for (const [layer, buffers] of this.#buffers.entries()) {
      for (const [i, { name, heads, width }] of this.#shape.tensors.entries()) {
        const dims = [slots, heads, rowCount(this.rows), width];
        const tensor = this.#session.tensor(buffers[i]!, type, dims);
        inputs[`${name}_${layer}`] = tensor;
        outputs[writtenTensor(name, layer)] = tensor;
      }
    }
    this.#bindings.set(slots, { inputs, outputs });
    return { inputs, outputs };
  }

  /** Submits moves of rows; no row may be the target of two, or target of one and source of another. */
  move(moves: readonly SlotMove[]): void {
    const { angles } = this.#shape;
    const shifts = [...new Set(moves.map(({ shift }) => shift))]
      .filter((shift) => shift > 0);
    this.#write.run(
      moves.map(({ slot, from, to, shift }) => ({
        slot,
        from,
        to,
        angle: shift > 0 ? shifts.indexOf(shift) : -1,
      })),
      angles.rows(shifts),
    );
  }

  /** A slot's tensors, one after the other, for copying. */
  blocks(slot: number): RowBlock[] {
    return this.#buffers.flat().map((buffer) => ({
      buffer,
      slot,
      rows: rowCount(this.rows),
    }));
  }

  /** Bytes of the first `rows` rows of all heads of a slot. */
  bytesOf(rows: number): number {
    const { layers, tensors } = this.#shape;
    const [{ heads }] = tensors as [CacheTensor];
    return layers * tensors.length * heads * rows * this.#rowBytes;
  }

  /** Copies the first rows of all heads of a slot into a buffer, one behind the other. */
  copyOut(
    encoder: GPUCommandEncoder,
    { slot, rows }: { slot: number; rows: number },
    to: GPUBuffer,
  ): void {
    const bytes = rows * this.#rowBytes;
    for (const [i, { buffer, offset }] of this.#heads(slot).entries()) {
      encoder.copyBufferToBuffer(buffer, offset, to, i * bytes, bytes);
    }
  }

  /** Writes the first `rows` rows of all heads of a slot from data that has `given` rows of each. */
  write(
    slot: number,
    data: ArrayBuffer,
    { given, rows }: { given: number; rows: number },
  ): void {
    const { queue } = this.#gpu.device;
    const row = this.#rowBytes;
    for (const [i, { buffer, offset }] of this.#heads(slot).entries()) {
      queue.writeBuffer(buffer, offset, data, i * given * row, rows * row);
    }
  }

  /**
   * Zeroes all rows of a slot but the first `kept`: whatever a failed run wrote there, hidden or not,
   * must not be multiplied by anything.
   */
  clearSpare(encoder: GPUCommandEncoder, slot: number, kept: number): void {
    const row = this.#rowBytes;
    const rows = rowCount(this.rows) - kept;
    for (const { buffer, offset } of this.#heads(slot)) {
      encoder.clearBuffer(buffer, offset + kept * row, rows * row);
    }
  }

  /** Frees the memory. */
  destroy(): void {
    this.#write.destroy();
    for (const buffer of this.#buffers.flat()) buffer.destroy();
  }

  get #rowBytes(): number {
    const [{ width }] = this.#shape.tensors as [CacheTensor];
    return width * bytesOf(this.#shape.element);
  }

  /** Where the heads of a slot begin: for each layer those of the keys, then of the values. */
  #heads(slot: number): { buffer: GPUBuffer; offset: number }[] {
    const [{ heads }] = this.#shape.tensors as [CacheTensor];
    const bytes = rowCount(this.rows) * this.#rowBytes;
    return this.#buffers.flat().flatMap((buffer) =>
      Array.from({ length: heads }, (_, head) => ({
        buffer,
        offset: (slot * heads + head) * bytes,
      }))
    );
  }
}
