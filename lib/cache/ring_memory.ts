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

/** Caches in host memory, `[slots, heads, width, tokens]` or `[slots, heads, tokens, width]`. */
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
        () => new Float32Array(slots * tensorElements(tensor, layout)),
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
    const inner = tensor.tokensLast
      ? [tensor.width, tokens]
      : [tokens, tensor.width];
    return {
      data: data.subarray(slot * size, (slot + 1) * size),
      dims: [1, tensor.heads, 1, ...inner],
    };
  }

  /**
   * Writes one token's rows, over whatever was at that place.
   *
   * @param rows by output name: `[chunk, layers × heads × width]`, as the graph gives them
   * @param token which row of the chunk
   */
  write(
    slot: number,
    place: RowPlace,
    rows: Readonly<Record<string, Float32Array>>,
    token: number,
  ): void {
    for (const [i, tensor] of this.tensors.entries()) {
      const index = this.#index(tensor, place);
      if (index < 0) continue;
      const source = rows[tensor.rows]!;
      const width = tensor.heads * tensor.width;
      for (let layer = 0; layer < this.layers; layer++) {
        const from = (token * this.layers + layer) * width;
        this.#copyRow(
          tensor,
          this.#memory[i]![layer]!,
          slot,
          index,
          source,
          from,
        );
      }
    }
  }

  /** Column or row of a tensor at which a place lies; −1 if the tensor does not hold that part. */
  #index(tensor: CacheTensor, place: RowPlace): number {
    if (tensor.holds === "all") {
      return place.part === "sinks"
        ? place.index
        : this.layout.sinkRows + place.index;
    }
    return tensor.holds === place.part ? place.index : -1;
  }

  #copyRow(
    tensor: CacheTensor,
    memory: Float32Array,
    slot: number,
    index: number,
    source: Float32Array,
    from: number,
  ): void {
    const { heads, width, tokensLast } = tensor;
    const tokens = tensorTokens(tensor, this.layout);
    let to = slot * heads * width * tokens;
    if (tokensLast) {
      to += index;
      for (let i = 0; i < heads * width; i++, to += tokens) {
        memory[to] = source[from + i]!;
      }
      return;
    }
    to += index * width;
    for (
      let head = 0;
      head < heads;
      head++, to += tokens * width, from += width
    ) {
      memory.set(source.subarray(from, from + width), to);
    }
  }
}
