/** Machine code that we made, for the library's threads to run. @module */
import { type Libc, readProc, withLibc } from "./libc.ts";

/** Address of a function. */
export type Code = Deno.PointerObject;

/** What a CPU has to have: AVX2, and sums of products. */
const FEATURES = ["avx2", "fma"];

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE_ANONYMOUS = 0x22;

let able: boolean | null = null;

/** Whether this machine runs code of x86-64 with AVX2, and lets us make some: on Linux. */
export function runsMachineCode(): boolean {
  return able ??= Deno.build.arch === "x86_64" &&
    (withLibc((libc) => {
      const [, flags = ""] =
        /^flags\s*:(.*)$/m.exec(readProc(libc, "/proc/cpuinfo")) ?? [];
      const has = new Set(flags.split(" "));
      return FEATURES.every((name) => has.has(name)) &&
        place(libc, Uint8Array.of(0xc3)) !== null;
    }) ?? false);
}

const placed = new Map<string, Code>();

/**
 * Puts code where it can be run, for as long as the process lives; the same code only once.
 *
 * @param name tells one code from another
 * @throws {Error} where the system does not allow it
 */
export function placeCode(
  name: string,
  assemble: () => Uint8Array<ArrayBuffer>,
): Code {
  const known = placed.get(name);
  if (known) return known;
  const code = withLibc((libc) => place(libc, assemble()));
  if (!code) throw new Error(`Cannot place "${name}": no memory for code`);
  placed.set(name, code);
  return code;
}

/** Memory is written first and runs then, never both. */
function place(libc: Libc, bytes: Uint8Array<ArrayBuffer>): Code | null {
  const size = BigInt(bytes.length);
  const memory = libc.mmap(
    null,
    size,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE_ANONYMOUS,
    -1,
    0n,
  );
  // −1 says that it failed.
  if (memory === null || Deno.UnsafePointer.value(memory) === 2n ** 64n - 1n) {
    return null;
  }
  const view = Deno.UnsafePointerView.getArrayBuffer(memory, bytes.length);
  new Uint8Array(view).set(bytes);
  return libc.mprotect(memory, size, PROT_READ | PROT_EXEC) === 0
    ? memory
    : null;
}
