/** Rows of a cache tensor, or packed side by side. @module */
import { type Element, wordsOf } from "./element.ts";

/** Where rows are: `[slots, heads, rows, width]` in a buffer. */
export interface RowBlock {
  readonly buffer: GPUBuffer;
  /** Rows of a head. */
  readonly rows: number;
  /** Default 0. */
  readonly slot?: number;
  /** The first row meant, of every head; default 0. */
  readonly firstRow?: number;
  /** Elements of the buffer before slot 0, where several tensors share one; default 0. */
  readonly offset?: number;
}

/** The shape that all blocks of a kernel have in common. */
export interface RowShape {
  readonly heads: number;
  readonly width: number;
  readonly element: Element;
}

/** A block in 32-bit words. */
export interface WordBlock {
  /** Where the first head's first row is. */
  readonly start: number;
  /** From one head to the next. */
  readonly head: number;
}

/**
 * Where `rows` rows of a block lie.
 *
 * @throws {RangeError} if the block has fewer, or is not within its buffer.
 *
 * @example Rows 5 and 6 of slot 1
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { wordBlock } from "./row_block.ts";
 * const buffer = { size: 2 * 3 * 10 * 64 * 2 } as GPUBuffer;
 * const block = { buffer, rows: 10, slot: 1, firstRow: 5 };
 * const shape = { heads: 3, width: 64, element: "f16" } as const;
 * assertEquals(wordBlock(block, 2, shape), { start: (3 * 10 + 5) * 32, head: 10 * 32 });
 * ```
 */
export function wordBlock(
  { buffer, rows, slot = 0, firstRow = 0, offset = 0 }: RowBlock,
  count: number,
  { heads, width, element }: RowShape,
): WordBlock {
  const row = wordsOf(width, { element, what: "width" });
  const before = wordsOf(offset, { element, what: "offset" });
  const head = rows * row;
  const start = before + slot * heads * head;
  const numbers = [rows, slot, firstRow, count, before];
  const natural = numbers.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (
    !natural || firstRow + count > rows ||
    (start + heads * head) * 4 > buffer.size
  ) {
    throw new RangeError(
      `Cannot use rows ${firstRow} to ${
        firstRow + count - 1
      } of ${rows} in slot ${slot}, ` +
        `${offset} elements into a buffer of ${buffer.size} bytes`,
    );
  }
  return { start: start + firstRow * row, head };
}
