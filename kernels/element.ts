/** What rows are made of. @module */

/** Precision of a row's elements. */
export type Element = "f32" | "f16";

/** Elements of a 32-bit word: shaders read and write rows by words, so that one serves both precisions. */
export function elementsPerWord(element: Element): 1 | 2 {
  return element === "f16" ? 2 : 1;
}

/** Bytes of an element. */
export function bytesOf(element: Element): 2 | 4 {
  return element === "f16" ? 2 : 4;
}

/**
 * 32-bit words of so many elements.
 *
 * @param what names the elements in the error
 * @throws {RangeError} if the elements do not fill whole words.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { wordsOf } from "./element.ts";
 * assertEquals(wordsOf(64, { element: "f16", what: "width" }), 32);
 * assertThrows(() => wordsOf(5, { element: "f16", what: "width" }), RangeError);
 * ```
 */
export function wordsOf(
  elements: number,
  { element, what }: { element: Element; what: string },
): number {
  const words = elements / elementsPerWord(element);
  if (!Number.isSafeInteger(words)) {
    throw new RangeError(
      `Cannot use ${what} as whole words of ${element}: current value is ${elements}`,
    );
  }
  return words;
}
