/**
 * The memory of all slots' caches, claimed once. Rows go in by overwriting one row each; nothing
 * is ever moved or freed.
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
  }

  /** Bytes held for all slots, counted from the memory itself. */
  get bytes(): number {
    return this.#memory.flat().reduce(
      (sum, array) => sum + array.byteLength,
      0,
    );
  }

  /** One tensor of one layer of one slot: a view, with its shape. */
  view(
    tensor: CacheTensor,
    layer: number,
    slot: number,
  ): { data: Float32Array<ArrayBuffer>; dims: number[] } {
    const size = tensorElements(tensor, this.layout);
    const data = this.#memory[this.tensors.indexOf(tensor)]![layer]!;
    const tokens = tensorTokens(tensor, this.layout);
    return {
      data: data.subarray(slot * size, (slot + 1) * size),
      dims: [1, tensor.heads, 1, tensor.width, tokens],
    };
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
    let line = to.slot * heads * width * tokens;
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
