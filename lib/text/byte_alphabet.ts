/**
 * GPT-2's byte alphabet: byte-level BPE writes each byte as one printable character, so that tokens
 * can be kept as text even where they are no whole UTF-8 characters.
 *
 * @module
 */

/** The character that stands for each byte. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

const BYTES: ReadonlyMap<string, number> = new Map(
  BYTE_CHARACTERS.map((character, byte) => [character, byte]),
);

/** Printable Latin-1 stands for itself; the other bytes, in order, for U+0100 and up. */
function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) ||
      (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

/**
 * The bytes that a token's text stands for. A character outside the alphabet, which a sound
 * vocabulary does not have, stands for its own UTF-8.
 *
 * @example The space before a word
 * ```ts
 * import { bytesOfToken } from "./byte_alphabet.ts";
 *
 * if (new TextDecoder().decode(bytesOfToken("Ġthe")) !== " the") throw new Error("unreachable");
 * ```
 */
export function bytesOfToken(text: string): Uint8Array {
  const encoder = new TextEncoder();
  return Uint8Array.from(
    Array.from(text).flatMap((character) => {
      const byte = BYTES.get(character);
      return byte === undefined ? [...encoder.encode(character)] : [byte];
    }),
  );
}
