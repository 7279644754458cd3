/**
 * SHA-256 of a file of any size, in constant memory.
 *
 * @module
 */
import { createHash } from "node:crypto";

const CHUNK_BYTES = 1 << 20;

/** The SHA-256 of the file at `path` in lower-case hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    const read = await file.read(buffer);
    if (read === null) return hash.digest("hex");
    hash.update(buffer.subarray(0, read));
  }
}

/** The SHA-256 of a text's UTF-8 bytes in lower-case hex. */
export function sha256OfText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
