/**
 * Larger pages for memory that each step reads from end to end. With pages of 4 KiB a CPU looks up one for every 64
 * of its lines, which takes about a tenth of a step; Linux gives pages of 2 MiB to who asks. Elsewhere, and where
 * the system does not give them, nothing happens.
 *
 * @module
 */
import { addressOf } from "./address.ts";
import { readProc, withLibc } from "./libc.ts";

/** Addresses from `start` to before `end`. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

const PAGE = 4096n;
const HUGE_PAGE = 2n << 20n;

// Advice of Linux's `madvise`: give this memory large pages; do so now, by copying (from Linux 6.1 on).
const MADV_HUGEPAGE = 14;
const MADV_COLLAPSE = 25;

/** Asks for large pages for memory that nobody has written to yet. */
export function adviseHugePages(buffer: ArrayBuffer): void {
  withLibc((libc) => {
    const start = addressOf(buffer);
    const end = start + BigInt(buffer.byteLength);
    const first = (start + PAGE - 1n) / PAGE * PAGE;
    if (first < end) libc.madvise(first, end - first, MADV_HUGEPAGE);
  });
}

/** Puts what this process has written to memory so far into large pages, as far as there are some. */
export function collapseMemory(): void {
  withLibc((libc) => {
    for (const { start, end } of parseMaps(readProc(libc, "/proc/self/maps"))) {
      const first = (start + HUGE_PAGE - 1n) / HUGE_PAGE * HUGE_PAGE;
      for (let page = first; page + HUGE_PAGE <= end; page += HUGE_PAGE) {
        libc.madvise(page, HUGE_PAGE, MADV_COLLAPSE);
      }
    }
  });
}

/**
 * Writable memory of no file, of what Linux says in `/proc/self/maps`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseMaps } from "./huge_pages.ts";
 * const maps = "1000-3000 rw-p 00000000 00:00 0 [heap]\n3000-4000 rw-p 00000000 08:01 7 /lib/a.so\n";
 * assertEquals(parseMaps(maps), [{ start: 0x1000n, end: 0x3000n }]);
 * ```
 */
export function parseMaps(maps: string): AddressRange[] {
  const line = /^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?$/gm;
  return [...maps.matchAll(line)].map(([, start, end]) => ({
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
  }));
}
