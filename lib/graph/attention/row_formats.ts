/** Which rows of which layer are kept how: what `kv_bits` comes to. @module */
import type { KvBits } from "../../cache/cache_format.ts";
import {
  ATTENDED_INT16_ROWS,
  ATTENDED_INT8_ROWS,
  DECODED_INT8_ROWS,
  F32_ROWS,
  INT16_ROWS,
  INT4_ROWS,
  INT8_ROWS,
  type RowFormat,
} from "./row_format.ts";

/**
 * How single tokens attend to encoded rows where more than one way is built: by our own kernel, which reads rows
 * of 16 and 8 bits as they are; as integers, if they have 8 bits; or once they are decoded.
 */
export type RowProducts = "attended" | "integers" | "decoded";

/** How each layer keeps its rows. */
export interface RowFormats {
  /** Part of a converted graph's name. */
  readonly name: string;
  /** Whether the kernel reads the rows of all layers. */
  readonly attended: boolean;
  /** Whether rows are multiplied as integers, if a chunk is a single token. */
  readonly integers: boolean;
  keys(layer: number): RowFormat;
  values(layer: number): RowFormat;
}

const PLAIN: Readonly<Record<Exclude<KvBits, 8>, RowFormat>> = {
  32: F32_ROWS,
  16: INT16_ROWS,
  4: INT4_ROWS,
};
const ATTENDED: Readonly<Partial<Record<KvBits, RowFormat>>> = {
  32: F32_ROWS,
  16: ATTENDED_INT16_ROWS,
  8: ATTENDED_INT8_ROWS,
};

/**
 * The formats of so many bits.
 *
 * @param sensitive layers whose keys stay at 8 bits where others have 4: a few lose most by it
 * @param products how single tokens attend, where there is a choice
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
  { sensitive = [], products = "integers" }: {
    sensitive?: readonly number[];
    products?: RowProducts;
  } = {},
): RowFormats {
  const attended = products === "attended" && ATTENDED[bits];
  if (attended) {
    return {
      name: `${attended.name}-rows`,
      attended: true,
      integers: false,
      keys: () => attended,
      values: () => attended,
    };
  }
  const eight = products === "decoded" ? DECODED_INT8_ROWS : INT8_ROWS;
  const format = bits === 8 ? eight : PLAIN[bits];
  const exempt = bits === 4 ? new Set(sensitive) : new Set<number>();
  const layers = [...exempt].sort((a, b) => a - b).join("_");
  const some = bits === 8 || layers !== "";
  return {
    name: [
      format.name,
      ...layers === "" ? [] : [layers],
      ...some && eight === DECODED_INT8_ROWS ? ["decoded"] : [],
    ].join("-"),
    attended: false,
    integers: some && eight === INT8_ROWS,
    keys: (layer) => exempt.has(layer) ? eight : format,
    values: () => format,
  };
}
