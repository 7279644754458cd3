/** Which rows of which layer are kept how: what `kv_bits` comes to. @module */
import type { KvBits } from "../../cache/cache_format.ts";
import {
  DECODED_INT8_ROWS,
  F32_ROWS,
  INT16_ROWS,
  INT4_ROWS,
  INT8_ROWS,
  type RowFormat,
} from "./row_format.ts";

/** How each layer keeps its rows. */
export interface RowFormats {
  /** Part of a converted graph's name. */
  readonly name: string;
  /** Whether rows are multiplied as integers, if a chunk is a single token. */
  readonly integers: boolean;
  keys(layer: number): RowFormat;
  values(layer: number): RowFormat;
}

const FORMATS: Readonly<Record<Exclude<KvBits, 8>, RowFormat>> = {
  32: F32_ROWS,
  16: INT16_ROWS,
  4: INT4_ROWS,
};

/**
 * The formats of so many bits.
 *
 * @param sensitive layers whose keys stay at 8 bits where others have 4: a few lose most by it
 * @param integers whether rows of 8 bits are multiplied as they are where that is quicker, not decoded
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { rowFormats } from "./row_formats.ts";
 * const { keys, values } = rowFormats(4, { sensitive: [10] });
 * assertEquals([keys(9).name, keys(10).name, values(10).name], ["int4", "int8", "int4"]);
 * ```
 */
export function rowFormats(
  bits: KvBits,
  { sensitive = [], integers = true }: {
    sensitive?: readonly number[];
    integers?: boolean;
  } = {},
): RowFormats {
  const eight = integers ? INT8_ROWS : DECODED_INT8_ROWS;
  const format = bits === 8 ? eight : FORMATS[bits];
  const exempt = bits === 4 ? new Set(sensitive) : new Set<number>();
  const layers = [...exempt].sort((a, b) => a - b).join("_");
  const some = bits === 8 || layers !== "";
  return {
    name: [
      format.name,
      ...layers === "" ? [] : [layers],
      ...some && !integers ? ["decoded"] : [],
    ].join("-"),
    integers: some && integers,
    keys: (layer) => exempt.has(layer) ? eight : format,
    values: () => format,
  };
}
