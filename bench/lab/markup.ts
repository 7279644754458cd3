/** Text inside HTML and SVG. @module */

/**
 * Text that no tag or entity is read from.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { escaped } from "./markup.ts";
 * assertEquals(escaped("a < b & c"), "a &lt; b &amp; c");
 * ```
 */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
