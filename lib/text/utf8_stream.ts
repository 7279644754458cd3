/**
 * Text out of tokens' bytes: a token may end inside a UTF-8 character, and no client should see half
 * of one.
 *
 * @module
 */

/**
 * Decodes UTF-8 that arrives in parts, and gives whole characters only. Invalid bytes become U+FFFD
 * as in `TextDecoder`; a byte order mark is text like any other.
 *
 * @example A character cut in two
 * ```ts
 * import { Utf8Stream } from "./utf8_stream.ts";
 *
 * const stream = new Utf8Stream();
 * const text = stream.push(new Uint8Array([0x61, 0xc3])) + "|" + stream.push(new Uint8Array([0xa9]));
 * if (text + stream.end() !== "a|é") throw new Error("unreachable");
 * ```
 */
export class Utf8Stream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** The text that is whole after these bytes. */
  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** U+FFFD if the bytes ended inside a character, else `""`. */
  end(): string {
    return this.#decoder.decode();
  }
}
