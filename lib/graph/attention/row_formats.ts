/** Which rows of which layer are kept how: what `kv_bits` comes to. @module */
import type { KvBits } from "../../cache/cache_format.ts";
import {
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
  keys(layer: number): RowFormat;
  values(layer: number): RowFormat;
}

const FORMATS: Readonly<Record<KvBits, RowFormat>> = {
  32: F32_ROWS,
  16: INT16_ROWS,
  8: INT8_ROWS,
  4: INT4_ROWS,
};

/**
 * The formats of so many bits.
 *
 * @param sensitive layers whose keys stay at 8 bits where others have 4: a few lose most by it
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { rowFormats } from "./row_formats.ts";
 * const { keys, values } = rowFormats(4, [10]);
 * assertEquals([keys(9).name, keys(10).name, values(10).name], ["int4", "int8", "int4"]);
 * ```
 */
export function rowFormats(
  bits: KvBits,
  sensitive: readonly number[] = [],
): RowFormats {
  const format = FORMATS[bits];
  const exempt = bits === 4 ? new Set(sensitive) : new Set<number>();
  const layers = [...exempt].sort((a, b) => a - b).join("_");
  return {
    name: layers === "" ? format.name : `${format.name}-${layers}`,
    keys: (layer) => exempt.has(layer) ? INT8_ROWS : format,
    values: () => format,
  };
}
