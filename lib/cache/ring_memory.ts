/**
 * The memory of all slots' caches, claimed once and never freed. Rows go in by overwriting one row
 * each; nothing else ever moves.
 *
 * @module
 */
import {
  type CacheTensor,
  conversationBytes,
  type SlotLayout,
  tensorElements,
  tensorTokens,
  windowRows,
} from "./layout.ts";
import type { RowPlace } from "./sink_window.ts";

/** Slots side by side. */
export interface SlotRange {
  readonly first: number;
  readonly count: number;
}

/** A slot's rows outside of the memory. */
export interface RingCopy {
  readonly layout: SlotLayout;
  /** Rows of the ring that were in use, from its beginning. */
  readonly rows: number;
  readonly bytes: number;
  /** By tensor, then layer: `[heads, width, columns in use]`. */
  readonly columns: readonly (readonly Float32Array[])[];
}

/** Caches in host memory, `[slots, heads, width, tokens]` each. */
export class RingMemory {
  readonly layers: number;
  readonly tensors: readonly CacheTensor[];
  readonly layout: SlotLayout;
  readonly slots: number;
  /** Bytes of one slot. */
  readonly slotBytes: number;
  /** By tensor, then layer: all slots' memory. */
  readonly #memory: Float32Array<ArrayBuffer>[][];
  /** A row of zeros for each slot, seen in place of a block that is not in use. */
  readonly #nothing: Float32Array<ArrayBuffer>;

  /** Claims the memory, zeroed. */
  constructor(
    cache: { layers: number; tensors: readonly CacheTensor[] },
    layout: SlotLayout,
    slots: number,
  ) {
    this.layers = cache.layers;
    this.tensors = cache.tensors;
    this.layout = layout;
    this.slots = slots;
    this.slotBytes = conversationBytes(
      { ...cache, bytesPerElement: 4 },
      layout,
    );
    this.#memory = cache.tensors.map((tensor) =>
      Array.from(
        { length: cache.layers },
        // Filled, so that the system hands over the memory now and not page by page.
        () => new Float32Array(slots * tensorElements(tensor, layout)).fill(0),
      )
    );
    const widths = cache.tensors.map(({ heads, width }) => heads * width);
    this.#nothing = new Float32Array(slots * Math.max(...widths));
  }

  /** Bytes held for all slots, counted from the memory itself. */
  get bytes(): number {
    return this.#memory.flat().reduce(
      (sum, array) => sum + array.byteLength,
      0,
    );
  }

  /**
   * One tensor of one layer of some slots: a view, with its shape `[slots, heads, 1, width, tokens]`.
   *
   * @param used the whole layout or what `usedLayout` leaves of it
   */
  view(
    tensor: CacheTensor,
    layer: number,
    { first, count }: SlotRange,
    used: SlotLayout,
  ): { data: Float32Array<ArrayBuffer>; dims: number[] } {
    const tokens = tensorTokens(tensor, used);
    const dims = [count, tensor.heads, 1, tensor.width, tokens];
    if (tokens !== tensorTokens(tensor, this.layout)) {
      const elements = count * tensorElements(tensor, used);
      return { data: this.#nothing.subarray(0, elements), dims };
    }
    const slot = tensorElements(tensor, this.layout);
    const data = this.#memory[this.tensors.indexOf(tensor)]![layer]!;
    return { data: data.subarray(first * slot, (first + count) * slot), dims };
  }

  /**
   * Writes the rows of a chunk, each over whatever was at its place; of two rows for one place the
   * later stays.
   *
   * @param places where each token's row goes
   * @param rows by output name: `[layers × heads, chunk, width]`, as the graph gives them
   */
  write(
    slot: number,
    places: readonly RowPlace[],
    rows: Readonly<Record<string, Float32Array>>,
  ): void {
    for (const [i, tensor] of this.tensors.entries()) {
      const columns = places.map((place) => this.#column(tensor, place));
      if (columns.every((column) => column < 0)) continue;
      const source = rows[tensor.rows]!;
      for (let layer = 0; layer < this.layers; layer++) {
        const memory = this.#memory[i]![layer]!;
        this.#writeLayer(tensor, { memory, slot, layer }, columns, source);
      }
    }
  }

  /** Copies a slot's sinks and the first `rows` rows of its ring. */
  copy(slot: number, rows: number): RingCopy {
    const columns = this.tensors.map((tensor, i) => {
      const part = this.#part(tensor, slot, rows);
      return this.#memory[i]!.map((memory) => part.read(memory));
    });
    const bytes = columns.flat().reduce(
      (sum, { byteLength }) => sum + byteLength,
      0,
    );
    return { layout: this.layout, rows, bytes, columns };
  }

  /**
   * Puts a copy into a slot.
   *
   * @throws {RangeError} if it is of a slot of another layout; the slot is as it was.
   */
  paste(slot: number, { layout, rows, columns }: RingCopy): void {
    const same = (a: SlotLayout, b: SlotLayout) =>
      a.sinkRows === b.sinkRows && String(a.blocks) === String(b.blocks);
    if (!same(layout, this.layout)) {
      throw new RangeError(
        `Cannot restore a cache of ${layout.sinkRows} + ${
          windowRows(layout)
        } rows ` +
          `into a slot of ${this.layout.sinkRows} + ${windowRows(this.layout)}`,
      );
    }
    for (const [i, tensor] of this.tensors.entries()) {
      const part = this.#part(tensor, slot, rows);
      for (const [layer, memory] of this.#memory[i]!.entries()) {
        part.write(memory, columns[i]![layer]!);
      }
    }
  }

  #writeLayer(
    tensor: CacheTensor,
    to: { memory: Float32Array; slot: number; layer: number },
    columns: readonly number[],
    source: Float32Array,
  ): void {
    const { heads, width } = tensor;
    const { memory } = to;
    const chunk = columns.length;
    const tokens = tensorTokens(tensor, this.layout);
    let line = to.slot * tensorElements(tensor, this.layout);
    for (let head = 0; head < heads; head++) {
      const row = (to.layer * heads + head) * chunk * width;
      for (let d = 0; d < width; d++, line += tokens) {
        for (let t = 0, from = row + d; t < chunk; t++, from += width) {
          const column = columns[t]!;
          if (column >= 0) memory[line + column] = source[from]!;
        }
      }
    }
  }

  /** Column at which a place lies; −1 if the tensor does not hold it. */
  #column(tensor: CacheTensor, { part, index }: RowPlace): number {
    if (part === "sinks") return tensor.sinks ? index : -1;
    if (tensor.block === null) return -1;
    const column = index - this.#blockStart(tensor.block);
    if (column < 0 || column >= this.layout.blocks[tensor.block]!) return -1;
    return (tensor.sinks ? this.layout.sinkRows : 0) + column;
  }

  /** Row of the ring at which a block begins. */
  #blockStart(block: number): number {
    return windowRows({
      ...this.layout,
      blocks: this.layout.blocks.slice(0, block),
    });
  }

  /** The columns of a slot's tensor that are in use while its ring has `rows` rows. */
  #part(tensor: CacheTensor, slot: number, rows: number): LinePart {
    const { block } = tensor;
    const sinks = tensor.sinks ? this.layout.sinkRows : 0;
    const ring = block === null ? 0 : Math.max(
      0,
      Math.min(rows - this.#blockStart(block), this.layout.blocks[block]!),
    );
    return new LinePart({
      start: slot * tensorElements(tensor, this.layout),
      lines: tensor.heads * tensor.width,
      length: tensorTokens(tensor, this.layout),
      used: sinks + ring,
    });
  }
}

/** The first `used` values of each of `lines` lines of `length`. */
class LinePart {
  readonly #of: { start: number; lines: number; length: number; used: number };

  constructor(
    of: { start: number; lines: number; length: number; used: number },
  ) {
    this.#of = of;
  }

  read(memory: Float32Array): Float32Array {
    const { start, lines, length, used } = this.#of;
    if (used === length) return memory.slice(start, start + lines * length);
    const part = new Float32Array(lines * used);
    for (let line = 0; line < lines; line++) {
      const from = start + line * length;
      part.set(memory.subarray(from, from + used), line * used);
    }
    return part;
  }

  write(memory: Float32Array, part: Float32Array): void {
    const { start, lines, length, used } = this.#of;
    if (used === length) return memory.set(part, start);
    for (let line = 0; line < lines; line++) {
      memory.set(
        part.subarray(line * used, (line + 1) * used),
        start + line * length,
      );
    }
  }
}
