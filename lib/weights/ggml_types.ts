/**
 * The tensor types of ggml that can be read, by the GGUF specification's names and numbers
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, `ggml_type`).
 *
 * A quantised type packs `blockSize` consecutive weights of a row into `bytesPerBlock` bytes.
 *
 * @module
 */

/** The name of a supported tensor type. */
export type GgmlTypeName =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K";

/** How a tensor type lies in the file. */
export interface GgmlType {
  /** The type's number in the file. */
  readonly id: number;
  /** Weights in a block; 1 for the types that are not quantised. */
  readonly blockSize: number;
  /** Bytes that a block takes. */
  readonly bytesPerBlock: number;
}

/** Every supported type by name. */
export const GGML_TYPES: Readonly<Record<GgmlTypeName, GgmlType>> = {
  F32: { id: 0, blockSize: 1, bytesPerBlock: 4 },
  F16: { id: 1, blockSize: 1, bytesPerBlock: 2 },
  BF16: { id: 30, blockSize: 1, bytesPerBlock: 2 },
  Q8_0: { id: 8, blockSize: 32, bytesPerBlock: 34 },
  Q4_0: { id: 2, blockSize: 32, bytesPerBlock: 18 },
  Q4_1: { id: 3, blockSize: 32, bytesPerBlock: 20 },
  Q4_K: { id: 12, blockSize: 256, bytesPerBlock: 144 },
  Q5_K: { id: 13, blockSize: 256, bytesPerBlock: 176 },
  Q6_K: { id: 14, blockSize: 256, bytesPerBlock: 210 },
};

/** The names of all supported types. */
export const GGML_TYPE_NAMES: readonly GgmlTypeName[] = Object.keys(
  GGML_TYPES,
) as GgmlTypeName[];

const NAMES_BY_ID: ReadonlyMap<number, GgmlTypeName> = new Map(
  GGML_TYPE_NAMES.map((name) => [GGML_TYPES[name].id, name]),
);

/** Gives the supported type with the number `id`, `undefined` where there is none. */
export function ggmlTypeName(id: number): GgmlTypeName | undefined {
  return NAMES_BY_ID.get(id);
}

/**
 * Gives the bytes that `count` weights of a type take.
 *
 * @example A row of 576 weights
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ggmlBytes } from "./ggml_types.ts";
 *
 * assertEquals(ggmlBytes("Q4_1", 576), 360);
 * ```
 *
 * @throws {RangeError} `count` is no whole number of blocks.
 */
export function ggmlBytes(type: GgmlTypeName, count: number): number {
  const { blockSize, bytesPerBlock } = GGML_TYPES[type];
  if (!Number.isSafeInteger(count) || count < 0 || count % blockSize !== 0) {
    throw new RangeError(
      `Cannot lay out ${type} weights: count must be a multiple of ${blockSize}, current value is ${count}`,
    );
  }
  return count / blockSize * bytesPerBlock;
}
