/**
 * Larger pages for memory that each step reads from end to end. With pages of 4 KiB a CPU looks up one for every 64
 * of its lines, which takes about a tenth of a step; Linux gives pages of 2 MiB to who asks. Elsewhere, and where
 * the system does not give them, nothing happens.
 *
 * @module
 */

/** Addresses from `start` to before `end`. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

const HUGE_PAGE = 2n << 20n;

// Advice of Linux's `madvise`: give this memory large pages; do so now, by copying (from Linux 6.1 on).
const MADV_HUGEPAGE = 14;
const MADV_COLLAPSE = 25;

const LIBC = {
  madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

type Libc = Deno.DynamicLibrary<typeof LIBC>["symbols"];

/** Asks for large pages for memory that nobody has written to yet. */
export function adviseHugePages(buffer: ArrayBufferLike): void {
  withLibc((libc) => {
    const bytes = new Uint8Array(buffer);
    const start = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
    libc.madvise(start, BigInt(buffer.byteLength), MADV_HUGEPAGE);
  });
}

/** Puts what this process has written to memory so far into large pages, as far as there are some. */
export function collapseMemory(): void {
  withLibc((libc) => {
    for (const { start, end } of parseMaps(readMaps(libc))) {
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

/** Deno lets nobody read this file without all permissions; who has that for libraries has them anyway. */
function readMaps(libc: Libc): string {
  const file = libc.open(new TextEncoder().encode("/proc/self/maps\0"), 0);
  if (file < 0) return "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  let text = "";
  for (;;) {
    const count = Number(libc.read(file, buffer, BigInt(buffer.length)));
    if (count <= 0) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  libc.close(file);
  return text;
}

function withLibc<Result>(use: (libc: Libc) => Result): Result | null {
  if (Deno.build.os !== "linux") return null;
  let library;
  try {
    library = Deno.dlopen("libc.so.6", LIBC);
  } catch {
    return null; // another C library
  }
  try {
    return use(library.symbols);
  } finally {
    library.close();
  }
}
