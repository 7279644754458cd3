/**
 * Rows of 8 or 4 bits an element, in groups of 32 that have a scale and a zero each (KIVI, arXiv
 * 2402.02750). Values are grouped by token, along a row; keys by channel, along a column, for some of
 * their channels are large in every token.
 *
 * @module
 */
import { elementsPerWord, wordsOf } from "./element.ts";
import elementCode from "./element.wgsl" with { type: "text" };
import type { Job } from "./job_list.ts";
import packedCode from "./packed_rows.wgsl" with { type: "text" };
import type { PipelineSource } from "./pipelines.ts";
import { type RowBlock, type RowShape, wordBlock } from "./row_block.ts";

/** How rows are packed. */
export interface PackedShape extends RowShape {
  readonly bits: 4 | 8;
  readonly groupedBy: "token" | "channel";
}

/** Packed rows, every head's. */
export interface PackedRows {
  /** u32 `[groups, bits]`: 32 codes of a group, the lowest bits first. */
  readonly codes: GPUBuffer;
  /** f32 `[groups, 2]`: scale and zero. */
  readonly scales: GPUBuffer;
  /** Groups before these, where several tensors share the buffers; default 0. */
  readonly firstGroup?: number;
}

/** Elements of a group; at the end of a row or column there may be fewer. */
export const GROUP = 32;

/**
 * Groups that rows are packed into.
 *
 * @example Three heads of 64 channels
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { packedGroups } from "./packed_rows.ts";
 * const shape = { heads: 3, width: 64, element: "f32", bits: 4 } as const;
 * assertEquals(packedGroups({ ...shape, groupedBy: "token" }, 40), 3 * 40 * 2);
 * assertEquals(packedGroups({ ...shape, groupedBy: "channel" }, 40), 3 * 2 * 64);
 * ```
 */
export function packedGroups(
  { heads, width, groupedBy }: PackedShape,
  rows: number,
): number {
  return groupedBy === "token"
    ? heads * rows * Math.ceil(width / GROUP)
    : heads * Math.ceil(rows / GROUP) * width;
}

/**
 * Bytes of packed rows, scales included.
 *
 * @example 32 rows of 64 channels: 4 bits, and 64 for each group of 32
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { packedBytes } from "./packed_rows.ts";
 * const shape = { heads: 1, width: 64, element: "f32", bits: 4, groupedBy: "channel" } as const;
 * assertEquals(packedBytes(shape, 32), 32 * 64 * 6 / 8);
 * ```
 */
export function packedBytes(shape: PackedShape, rows: number): number {
  return packedGroups(shape, rows) * (shape.bits * 4 + 8);
}

/**
 * A pipeline's source, from the code of one of the two directions.
 *
 * @throws {RangeError} if a row is no whole number of 32-bit words.
 */
export function packingSource(
  { heads, width, element, bits, groupedBy }: PackedShape,
  { name, code, lanes }: { name: string; code: string; lanes: number },
): PipelineSource {
  wordsOf(width, { element, what: "width" });
  return {
    name,
    code: code + packedCode + elementCode,
    constants: {
      lanes,
      heads,
      width,
      bits,
      by_channel: groupedBy === "channel" ? 1 : 0,
      per_word: elementsPerWord(element),
    },
  };
}

/**
 * A job's parameters: `Packing` in packed_rows.wgsl.
 *
 * @throws {RangeError} if the block has fewer rows, or a buffer is too small.
 */
export function packingParameters(
  shape: PackedShape,
  { block, packed, rows, invocations }: {
    block: RowBlock;
    packed: PackedRows;
    rows: number;
    invocations: number;
  },
): Pick<Job, "parameters" | "invocations"> {
  const { start, head } = wordBlock(block, rows, shape);
  const { codes, scales, firstGroup = 0 } = packed;
  const groups = firstGroup + packedGroups(shape, rows);
  if (
    !Number.isSafeInteger(firstGroup) || firstGroup < 0 ||
    groups * shape.bits * 4 > codes.size || groups * 8 > scales.size
  ) {
    throw new RangeError(
      `Cannot use buffers of ${codes.size} and ${scales.size} bytes for ${groups} groups of ${shape.bits} bits`,
    );
  }
  return {
    parameters: [rows, invocations, start, head, firstGroup],
    invocations,
  };
}
