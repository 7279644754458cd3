/**
 * Code points as sequences of UTF-8's bytes: a grammar is matched byte by byte, because a token need
 * not be whole characters.
 *
 * @module
 */

/** A range, both ends included. */
export type Range = readonly [first: number, last: number];

/** Largest code points of one, two, three and four bytes. */
const LARGEST = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/**
 * The bytes of a range of code points that are characters: each sequence of ranges stands for the
 * characters whose bytes lie in them, one by one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { utf8Ranges } from "./utf8.ts";
 *
 * assertEquals(utf8Ranges([0x7f, 0xbf]), [[[0x7f, 0x7f]], [[0xc2, 0xc2], [0x80, 0xbf]]]);
 * ```
 */
export function utf8Ranges([first, last]: Range): Range[][] {
  const border = LARGEST.find((border) => first <= border && border < last);
  if (border !== undefined) {
    return [...utf8Ranges([first, border]), ...utf8Ranges([border + 1, last])];
  }
  // Where the bytes after one differ, that one must be the same in both ends, or all after it free.
  for (let after = 1; after < bytesOf(first).length; after++) {
    const mask = (1 << (6 * after)) - 1;
    if ((first & ~mask) === (last & ~mask)) continue;
    if ((first & mask) !== 0) {
      const middle = first | mask;
      return [
        ...utf8Ranges([first, middle]),
        ...utf8Ranges([middle + 1, last]),
      ];
    }
    if ((last & mask) !== mask) {
      const middle = last & ~mask;
      return [
        ...utf8Ranges([first, middle - 1]),
        ...utf8Ranges([middle, last]),
      ];
    }
  }
  const lasts = bytesOf(last);
  return [Array.from(bytesOf(first), (byte, i): Range => [byte, lasts[i]!])];
}

function bytesOf(point: number): Uint8Array {
  return new TextEncoder().encode(String.fromCodePoint(point));
}
