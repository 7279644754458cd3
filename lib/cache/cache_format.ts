/** How caches are kept: what conversations that share memory and graph have in common. @module */

/** Bits that an element of a row can have. */
export const KV_BITS = [32, 16, 8, 4] as const;

/** Bits of an element of a row. */
export type KvBits = typeof KV_BITS[number];

/** A kind of cache. */
export interface CacheFormat {
  readonly kvBits: KvBits;
  /** Whether layers keep different numbers of tokens (`simplayer`). */
  readonly layered: boolean;
}

/** Whether two caches are of one kind. */
export function sameFormat(a: CacheFormat, b: CacheFormat): boolean {
  return a.kvBits === b.kvBits && a.layered === b.layered;
}
