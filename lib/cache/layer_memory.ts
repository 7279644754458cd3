/**
 * One layer's part of the memory of some slots: which columns of which tensors a token's row goes to.
 *
 * @module
 */
import {
  type CacheTensor,
  type LayerCache,
  type RowType,
  type SlotLayout,
  tensorElements,
  tensorTokens,
  windowRows,
} from "./layout.ts";
import type { RowPlace } from "./sink_window.ts";

/** Elements as they lie in memory; f16 by its bits. */
export type RowData =
  | Float32Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>;

/** Gives a layer the memory of one of its tensors, zeroed. */
export type ClaimRows = (
  tensor: number,
  of: { type: RowType; elements: number },
) => RowData;

/** Slots side by side. */
export interface SlotRange {
  readonly first: number;
  readonly count: number;
}

/** A layer's rows outside of the memory. */
export interface LayerCopy {
  /** Names of the layer's tensors, which tell how rows are kept. */
  readonly names: readonly string[];
  readonly layout: SlotLayout;
  /** Rows of the ring that were in use, from its beginning. */
  readonly rows: number;
  /** By tensor: `[heads, width, columns in use]`, or by row. */
  readonly columns: readonly RowData[];
}

/** A row that goes elsewhere. */
export interface RingMove {
  readonly from: number;
  readonly to: number;
}

/** Arrays by what their elements are. */
export const ROW_ARRAYS = {
  float32: Float32Array,
  float16: Int16Array,
  int16: Int16Array,
  int8: Int8Array,
} as const;

/** Claims memory of a type, zeroed. */
export function claimRows(type: RowType, elements: number): RowData {
  // Filled, so that the system hands over the memory now and not page by page.
  return new ROW_ARRAYS[type](elements).fill(0);
}

/** A layer's tensors, `[slots, heads, width, tokens]` each, or by row. */
export class LayerMemory {
  readonly tensors: readonly CacheTensor[];
  readonly layout: SlotLayout;
  /** Rows of the ring at which blocks begin. */
  readonly #blockStarts: readonly number[];
  /** By tensor. */
  readonly #strides: readonly Strides[];
  /** By tensor: all slots' memory. */
  readonly #memory: readonly RowData[];

  /**
   * Claims the memory, zeroed.
   *
   * @param claim where from; by default the host's
   */
  constructor(
    { tensors, layout }: LayerCache,
    slots: number,
    claim: ClaimRows = (_, { type, elements }) => claimRows(type, elements),
  ) {
    this.tensors = tensors;
    this.layout = layout;
    this.#blockStarts = layout.blocks.map((_, block) =>
      windowRows({ blocks: layout.blocks.slice(0, block) })
    );
    this.#strides = tensors.map((tensor) => strides(tensor, layout));
    this.#memory = tensors.map((tensor, i) => {
      const elements = slots * tensorElements(tensor, layout);
      return claim(i, { type: tensor.type, elements });
    });
  }

  /** Names of the tensors, which tell how rows are kept. */
  get names(): string[] {
    return this.tensors.map(({ name }) => name);
  }

  /** Bytes held, counted from the memory itself. */
  get bytes(): number {
    return this.#memory.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** One tensor of some slots, with all its columns. */
  view(tensor: number, { first, count }: SlotRange): RowData {
    const slot = tensorElements(this.tensors[tensor]!, this.layout);
    return this.#memory[tensor]!.subarray(first * slot, (first + count) * slot);
  }

  /**
   * Writes the rows of a chunk.
   *
   * @param first position of the chunk's first token
   * @param rows what goes into a tensor: `[heads, chunk, width]` from the element `first`
   */
  write(
    slot: number,
    { first, places }: { first: number; places: readonly RowPlace[] },
    rows: (tensor: CacheTensor) => { data: RowData; first: number },
  ): void {
    for (const [i, tensor] of this.tensors.entries()) {
      const columns = places.map((place, t) =>
        this.#column(tensor, place, first + t)
      );
      if (columns.every((column) => column < 0)) continue;
      const { data, first: own } = rows(tensor);
      const to = this.#memory[i]!;
      const { heads, width } = tensor;
      const { head, value, token } = this.#strides[i]!;
      for (let h = 0; h < heads; h++) {
        const start = (slot * heads + h) * head;
        for (let t = 0; t < columns.length; t++) {
          if (columns[t]! < 0) continue;
          const from = own + (h * columns.length + t) * width;
          const at = start + columns[t]! * token;
          // Not `set`: a view made for so few values costs ten times as much as they do.
          for (let d = 0, v = at; d < width; d++, v += value) {
            to[v] = data[from + d]!;
          }
        }
      }
    }
  }

  /**
   * Takes over rows of another memory of one slot that has the same tensors in other sizes: sinks and
   * tail as they are, and of the ring those that are listed.
   */
  adopt(other: LayerMemory, moves: readonly RingMove[]): void {
    for (const [i, target] of this.tensors.entries()) {
      for (const [j, source] of other.tensors.entries()) {
        const columns = [
          ...target.name === source.name ? this.#exactColumns(target) : [],
          ...ofOneRing(target, source)
            ? moves.map(({ from, to }) => ({
              from: other.#ringColumn(source, from),
              to: this.#ringColumn(target, to),
            })).filter(({ from, to }) => from >= 0 && to >= 0)
            : [],
        ];
        const { heads, width } = target;
        const there = other.#strides[j]!;
        const here = this.#strides[i]!;
        const [taken, memory] = [other.#memory[j]!, this.#memory[i]!];
        for (let h = 0; h < heads; h++) {
          for (let d = 0; d < width; d++) {
            const a = h * there.head + d * there.value;
            const b = h * here.head + d * here.value;
            for (const { from, to } of columns) {
              memory[b + to * here.token] = taken[a + from * there.token]!;
            }
          }
        }
      }
    }
  }

  /** Copies a slot's sinks and the first `rows` rows of its ring. */
  copy(slot: number, rows: number): LayerCopy {
    const columns = this.tensors.map((tensor, i) =>
      this.#part(tensor, slot, rows).read(this.#memory[i]!)
    );
    return { names: this.names, layout: this.layout, rows, columns };
  }

  /** Whether a copy is of a layer that keeps as many rows in the same way. */
  fits({ names, layout, rows, columns }: LayerCopy): boolean {
    const { sinkRows, tailRows, blocks } = this.layout;
    return sinkRows === layout.sinkRows && tailRows === layout.tailRows &&
      String(blocks) === String(layout.blocks) &&
      String(names) === String(this.names) &&
      this.tensors.every((tensor, i) => {
        const { type, elements } = this.#part(tensor, 0, rows);
        const own = columns[i] instanceof ROW_ARRAYS[type];
        return own && columns[i]!.length === elements;
      });
  }

  /** Puts a copy that {@linkcode fits} into a slot. */
  paste(slot: number, { rows, columns }: LayerCopy): void {
    for (const [i, tensor] of this.tensors.entries()) {
      this.#part(tensor, slot, rows).write(this.#memory[i]!, columns[i]!);
    }
  }

  /** Column at which the row of a position lies; −1 if the tensor does not hold it. */
  #column(
    tensor: CacheTensor,
    { part, index }: RowPlace,
    position: number,
  ): number {
    const { sinks, tail } = tensor;
    const { sinkRows, tailRows } = this.layout;
    if (part === "sinks") return sinks ? index : -1;
    if (tail) return (sinks ? sinkRows : 0) + position % tailRows;
    return this.#ringColumn(tensor, index);
  }

  /** Column of a row of the ring; −1 if the tensor does not hold it. */
  #ringColumn({ sinks, block }: CacheTensor, index: number): number {
    if (block === null) return -1;
    const { sinkRows, blocks } = this.layout;
    const column = index - this.#blockStarts[block]!;
    if (column < 0 || column >= blocks[block]!) return -1;
    return (sinks ? sinkRows : 0) + column;
  }

  /** Columns of sinks and tail. */
  #exactColumns({ sinks, tail }: CacheTensor): RingMove[] {
    const { sinkRows, tailRows } = this.layout;
    const count = (sinks ? sinkRows : 0) + (tail ? tailRows : 0);
    return Array.from({ length: count }, (_, c) => ({ from: c, to: c }));
  }

  /** The columns of a slot's tensor that are in use while its ring has `rows` rows. */
  #part(tensor: CacheTensor, slot: number, rows: number): LinePart {
    const { block, heads, width, byRow } = tensor;
    const before = (tensor.sinks ? this.layout.sinkRows : 0) +
      (tensor.tail ? this.layout.tailRows : 0);
    const ring = block === null ? 0 : Math.max(
      0,
      Math.min(rows - this.#blockStarts[block]!, this.layout.blocks[block]!),
    );
    const token = byRow ? width : 1;
    return new LinePart(tensor.type, {
      start: slot * tensorElements(tensor, this.layout),
      lines: byRow ? heads : heads * width,
      length: tensorTokens(tensor, this.layout) * token,
      used: (before + ring) * token,
    });
  }
}

/** How far neighbours lie apart in a tensor's memory, in elements. */
interface Strides {
  readonly head: number;
  readonly value: number;
  readonly token: number;
}

function strides(tensor: CacheTensor, layout: SlotLayout): Strides {
  const tokens = tensorTokens(tensor, layout);
  const head = tensor.width * tokens;
  return tensor.byRow
    ? { head, value: 1, token: tensor.width }
    : { head, value: tokens, token: 1 };
}

/** Whether two tensors hold the same part of rows of the ring. */
function ofOneRing(a: CacheTensor, b: CacheTensor): boolean {
  return a.block !== null && b.block !== null && a.rows === b.rows &&
    a.encoded?.part === b.encoded?.part;
}

/** The first `used` values of each of `lines` lines of `length`. */
class LinePart {
  readonly type: RowType;
  readonly #of: { start: number; lines: number; length: number; used: number };

  constructor(
    type: RowType,
    of: { start: number; lines: number; length: number; used: number },
  ) {
    this.type = type;
    this.#of = of;
  }

  get elements(): number {
    return this.#of.lines * this.#of.used;
  }

  read(memory: RowData): RowData {
    const { start, lines, length, used } = this.#of;
    if (used === length) return memory.slice(start, start + lines * length);
    const copy = claimRows(this.type, lines * used);
    for (let line = 0; line < lines; line++) {
      const from = start + line * length;
      copy.set(memory.subarray(from, from + used), line * used);
    }
    return copy;
  }

  write(memory: RowData, part: RowData): void {
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
