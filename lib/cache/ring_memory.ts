/**
 * The memory of some slots' caches, claimed once. Rows go in by overwriting one row each; nothing else
 * ever moves.
 *
 * @module
 */
import {
  type ClaimRows,
  claimRows,
  type LayerCopy,
  LayerMemory,
  type RowData,
  type SlotRange,
} from "./layer_memory.ts";
import {
  type CacheTensor,
  conversationBytes,
  type LayerCache,
  type RowType,
  type SlotLayout,
  tensorDims,
  tensorElements,
  tensorTokens,
  windowRows,
} from "./layout.ts";
import type { RowCodec } from "./row_codec.ts";
import type { RowPlace } from "./sink_window.ts";

/** A slot's rows outside of the memory, by layer. */
export interface RingCopy {
  readonly bytes: number;
  readonly layers: readonly LayerCopy[];
}

/** Caches in host memory, layer by layer. */
export class RingMemory {
  readonly layers: readonly LayerMemory[];
  /** Bytes of one slot. */
  readonly slotBytes: number;
  /** A row of zeros for each slot, seen in place of a block that is not in use. */
  readonly #nothing: ReadonlyMap<RowType, RowData>;

  /**
   * Claims the memory, zeroed.
   *
   * @param claim where from, by layer; by default the host's
   */
  constructor(
    layers: readonly LayerCache[],
    slots: number,
    claim?: (layer: number) => ClaimRows | undefined,
  ) {
    this.layers = layers.map((layer, i) =>
      new LayerMemory(layer, slots, claim?.(i))
    );
    this.slotBytes = conversationBytes(layers);
    this.#nothing = zeroRows(layers, slots);
  }

  /** Bytes held for all slots, counted from the memory itself. */
  get bytes(): number {
    return this.layers.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Tensors of one layer of some slots, by their names: views, with their shapes
   * `[slots, heads, 1, width, tokens]`, or by row.
   *
   * @param used the whole layout or what `usedLayout` leaves of it
   */
  views(
    layer: number,
    range: SlotRange,
    used: SlotLayout,
  ): { name: string; data: RowData; dims: number[] }[] {
    const memory = this.layers[layer]!;
    return memory.tensors.map((tensor, i) => {
      const tokens = tensorTokens(tensor, used);
      const [heads, ...lines] = tensorDims(tensor, tokens);
      const whole = tokens === tensorTokens(tensor, memory.layout);
      return {
        name: tensor.name,
        data: whole
          ? memory.view(i, range)
          : this.#nothing.get(tensor.type)!.subarray(
            0,
            range.count * tensorElements(tensor, used),
          ),
        dims: [range.count, heads, 1, ...lines],
      };
    });
  }

  /**
   * Writes the rows of a chunk, each over whatever was at its place; of two rows for one place the
   * later stays.
   *
   * @param at.first position of the chunk's first token
   * @param at.places where each token's row goes, by layer
   * @param rows by output name: `[layers × heads, chunk, width]`, as the graph gives them
   */
  write(
    slot: number,
    at: { first: number; places: (layer: number) => readonly RowPlace[] },
    rows: Readonly<Record<string, Float32Array>>,
  ): void {
    const count = this.layers.length;
    const encoder = new Encoder(rows);
    for (const [index, layer] of this.layers.entries()) {
      const places = at.places(index);
      layer.write(slot, { ...at, places }, (tensor) => {
        const data = encoder.rows(tensor);
        return { data, first: index * (data.length / count) };
      });
    }
  }

  /** Copies a slot's sinks and the first rows of each layer's ring. */
  copy(slot: number, rows: (layer: number) => number): RingCopy {
    const layers = this.layers.map((layer, i) => layer.copy(slot, rows(i)));
    const bytes = layers.flatMap(({ columns }) => columns)
      .reduce((sum, { byteLength }) => sum + byteLength, 0);
    return { bytes, layers };
  }

  /**
   * Puts a copy into a slot.
   *
   * @throws {RangeError} if it is of a slot that keeps rows otherwise; the slot is as it was.
   */
  paste(slot: number, { layers }: RingCopy): void {
    const other = this.layers.findIndex((layer, i) =>
      !layers[i] || !layer.fits(layers[i])
    );
    if (other >= 0 || layers.length > this.layers.length) {
      throw new RangeError(
        `Cannot restore a cache whose layer ${other} has ${
          describe(layers[other])
        } into a slot that has ${describe(this.layers[other])}`,
      );
    }
    for (const [i, copy] of layers.entries()) this.layers[i]!.paste(slot, copy);
  }
}

/** Encodes the rows of all layers at once: each small array on its own costs as much as its values. */
class Encoder {
  readonly #rows: Readonly<Record<string, Float32Array>>;
  /** By codec, then by what is encoded. */
  readonly #encoded = new Map<RowCodec, Map<string, RowData[]>>();

  constructor(rows: Readonly<Record<string, Float32Array>>) {
    this.#rows = rows;
  }

  /** What goes into a tensor, of all layers. */
  rows({ rows: name, encoded }: CacheTensor): RowData {
    const all = this.#rows[name] as Float32Array<ArrayBuffer>;
    if (!encoded) return all;
    const { codec, part, rowWidth } = encoded;
    let known = this.#encoded.get(codec);
    if (!known) this.#encoded.set(codec, known = new Map());
    let parts = known.get(name);
    if (!parts) known.set(name, parts = codec.encode(all, rowWidth));
    return parts[part]!;
  }
}

function describe(
  layer: Pick<LayerCopy, "layout" | "names"> | undefined,
): string {
  if (!layer) return "no such layer";
  const { sinkRows, tailRows } = layer.layout;
  return `${sinkRows} + ${windowRows(layer.layout)} rows` +
    (tailRows > 0 ? ` and a tail of ${tailRows}` : "") + ` in ${layer.names}`;
}

function zeroRows(
  layers: readonly LayerCache[],
  slots: number,
): ReadonlyMap<RowType, RowData> {
  const widths = new Map<RowType, number>();
  for (const { type, heads, width } of layers.flatMap((l) => l.tensors)) {
    widths.set(type, Math.max(widths.get(type) ?? 0, heads * width));
  }
  return new Map(
    [...widths].map(([type, width]) => [type, claimRows(type, slots * width)]),
  );
}
