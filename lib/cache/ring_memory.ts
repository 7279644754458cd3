/**
 * The memory of all slots' caches, claimed once and never freed. Rows go in by overwriting one row
 * each.
 *
 * A run reads every column of a view, so a conversation far below its window would pay for columns
 * that hold nothing. Its lines therefore lie closer together at first, and are spread over the same
 * memory whenever the columns in use double: a few moves before the window is full, none after.
 *
 * @module
 */
import {
  type CacheTensor,
  conversationBytes,
  type SlotLayout,
  tensorElements,
  tensorTokens,
} from "./layout.ts";
import type { RowPlace } from "./sink_window.ts";

/** Window rows of a slot that holds nothing yet. */
const FIRST_ROWS = 64;

/** Caches in host memory, `[slots, heads, width, tokens]`. */
export class RingMemory {
  readonly layers: number;
  readonly tensors: readonly CacheTensor[];
  readonly layout: SlotLayout;
  readonly slots: number;
  /** Bytes of one slot. */
  readonly slotBytes: number;
  /** By tensor, then layer: all slots' memory. */
  readonly #memory: Float32Array<ArrayBuffer>[][];
  /** Window rows that each slot's views have now. */
  readonly #windowRows: number[];

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
    this.#windowRows = Array(slots).fill(
      Math.min(FIRST_ROWS, layout.windowRows),
    );
    this.#memory = cache.tensors.map((tensor) =>
      Array.from(
        { length: cache.layers },
        // Filled, so that the system hands over the memory now and not page by page.
        () => new Float32Array(slots * tensorElements(tensor, layout)).fill(0),
      )
    );
  }

  /** Bytes held for all slots, counted from the memory itself. */
  get bytes(): number {
    return this.#memory.flat().reduce(
      (sum, array) => sum + array.byteLength,
      0,
    );
  }

  /** Rows that a slot's views have now. */
  layoutOf(slot: number): SlotLayout {
    const windowRows = this.#windowRows[slot];
    if (windowRows === undefined) {
      throw new RangeError(
        `Cannot use slot ${slot}: there are ${this.slots}`,
      );
    }
    return { sinkRows: this.layout.sinkRows, windowRows };
  }

  /** Forgets a slot: its views are small again. Views taken before are no longer right. */
  reset(slot: number): void {
    this.#windowRows[slot] = Math.min(FIRST_ROWS, this.layout.windowRows);
  }

  /**
   * Makes room for `windowRows` rows of the window; what is held stays. Says whether lines were
   * spread, so that views taken before are no longer right.
   */
  reserve(slot: number, windowRows: number): boolean {
    const before = this.layoutOf(slot);
    if (windowRows <= before.windowRows) return false;
    let rows = before.windowRows;
    while (rows < windowRows) rows *= 2;
    this.#windowRows[slot] = Math.min(rows, this.layout.windowRows);
    const after = this.layoutOf(slot);
    for (const [i, tensor] of this.tensors.entries()) {
      const from = tensorTokens(tensor, before);
      const to = tensorTokens(tensor, after);
      if (from === to) continue;
      const start = slot * tensorElements(tensor, this.layout);
      for (const memory of this.#memory[i]!) {
        // From the last line on: each goes to where no line still to be moved lies.
        for (let line = tensor.heads * tensor.width - 1; line > 0; line--) {
          const old = start + line * from;
          memory.copyWithin(start + line * to, old, old + from);
        }
      }
    }
    return true;
  }

  /** One tensor of one layer of one slot: a view, with its shape. */
  view(
    tensor: CacheTensor,
    layer: number,
    slot: number,
  ): { data: Float32Array<ArrayBuffer>; dims: number[] } {
    const layout = this.layoutOf(slot);
    const start = slot * tensorElements(tensor, this.layout);
    const data = this.#memory[this.tensors.indexOf(tensor)]![layer]!;
    return {
      data: data.subarray(start, start + tensorElements(tensor, layout)),
      dims: [1, tensor.heads, 1, tensor.width, tensorTokens(tensor, layout)],
    };
  }

  /**
   * Writes the rows of a chunk, each over whatever was at its place; of two rows for one place the
   * later stays. There must be room ({@linkcode RingMemory.reserve}).
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

  #writeLayer(
    tensor: CacheTensor,
    to: { memory: Float32Array; slot: number; layer: number },
    columns: readonly number[],
    source: Float32Array,
  ): void {
    const { heads, width } = tensor;
    const { memory } = to;
    const chunk = columns.length;
    const tokens = tensorTokens(tensor, this.layoutOf(to.slot));
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

  /** Column at which a place lies; −1 if the tensor does not hold that part. */
  #column(tensor: CacheTensor, place: RowPlace): number {
    if (tensor.holds === "all") {
      return place.part === "sinks"
        ? place.index
        : this.layout.sinkRows + place.index;
    }
    return tensor.holds === place.part ? place.index : -1;
  }
}
