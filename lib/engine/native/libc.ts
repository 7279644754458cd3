/** What we ask of Linux directly, since Deno has no words for it. @module */

const SYMBOLS = {
  madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
  mmap: {
    parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"],
    result: "pointer",
  },
  mprotect: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** The C library's functions. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** What `use` gives with the C library; `null` where there is none that we know. */
export function withLibc<Result>(use: (libc: Libc) => Result): Result | null {
  if (Deno.build.os !== "linux") return null;
  let library;
  try {
    library = Deno.dlopen("libc.so.6", SYMBOLS);
  } catch {
    return null; // another C library
  }
  try {
    return use(library.symbols);
  } finally {
    library.close();
  }
}

/**
 * The text of a file of `/proc`, `""` if there is none. Deno lets nobody read these without all permissions; who
 * has that for libraries has them anyway.
 */
export function readProc(libc: Libc, path: string): string {
  const file = libc.open(new TextEncoder().encode(`${path}\0`), 0);
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
