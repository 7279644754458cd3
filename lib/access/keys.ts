/**
 * API keys. Only their SHA-256 digests are kept; a key has enough randomness that a digest needs
 * neither salt nor stretching.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";
import { sha256OfText } from "../models/sha256.ts";

/** The fewest characters of a key: what is shorter could be guessed. */
export const KEY_LENGTH = 16;

/** The digest by which a key is known: 64 hexadecimal digits. */
export function digestOf(key: string): string {
  return sha256OfText(key);
}

/** Whether a text may be a key: RFC 6750's characters, and enough of them. */
export function isKey(text: string): boolean {
  return text.length >= KEY_LENGTH && /^[A-Za-z0-9\-._~+/]+=*$/.test(text);
}

/**
 * The digests in a file of one `name sha256` a line; empty lines and lines that begin with `#` say
 * nothing. The names are for the operator.
 *
 * @throws {SyntaxError} that names the line, and nothing of what it holds
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { digestOf, parseKeyFile } from "./keys.ts";
 *
 * const digest = digestOf("es-0123456789abcdef");
 * assertEquals(parseKeyFile(`# ours\nada ${digest}\n`), [digest]);
 * ```
 */
export function parseKeyFile(text: string): string[] {
  return text.split("\n").flatMap((line, i) => {
    if (/^\s*(#.*)?$/.test(line)) return [];
    const digest = /^\s*\S+\s+([0-9a-f]{64})\s*$/i.exec(line)?.[1];
    if (digest !== undefined) return [digest.toLowerCase()];
    throw new SyntaxError(
      `Line ${
        i + 1
      } is not "name sha256": write a name, a space and the 64 hexadecimal digits ` +
        "that 'deno task key' prints",
    );
  });
}

/** The keys that are admitted. */
export class KeyRing {
  #digests: readonly Uint8Array[] = [];

  /** @param digests as {@linkcode digestOf} gives them */
  constructor(digests: readonly string[]) {
    this.replace(digests);
  }

  /** Admits these from now on, and no others. */
  replace(digests: readonly string[]): void {
    this.#digests = digests.map((digest) => Uint8Array.fromHex(digest));
  }

  /** Whether this key is one of them, in a time that does not tell how close it was. */
  admits(key: string): boolean {
    const asked = Uint8Array.fromHex(digestOf(key));
    let found = false;
    for (const digest of this.#digests) {
      if (timingSafeEqual(digest, asked)) found = true;
    }
    return found;
  }
}
