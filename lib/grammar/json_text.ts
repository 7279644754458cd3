/**
 * JSON's own characters, as grammar: what a string may hold, and how its characters are written.
 *
 * Every character has one way to be written, but for those that JSON lets escape at will: lone
 * surrogates cannot be written at all, so a character is a code point, as JSON Schema counts them.
 *
 * @module
 */
import { choice, type CodePoints, literal, oneOf } from "./ebnf.ts";

/** All code points that are characters. */
export const ANY: readonly CodePoints[] = [[0, 0xd7ff], [0xe000, 0x10ffff]];

/** Characters that stand for themselves in a string: all but quotes, backslashes and controls. */
export const PLAIN: readonly CodePoints[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0xd7ff],
  [0xe000, 0x10ffff],
];

const HEX = "[0-9a-fA-F]";

/** One character of a string. */
export const CHARACTER = choice([
  oneOf(PLAIN),
  `"\\\\" ["\\\\/bfnrt]`,
  `"\\\\u" [0-9a-cefA-CEF] ${HEX} ${HEX} ${HEX}`,
  `"\\\\u" [dD] [0-7] ${HEX} ${HEX}`,
]);

/** One character of a string whose characters are counted: none that is escaped, which is less to compile. */
export const COUNTED_CHARACTER = oneOf(PLAIN);

/** Between two tokens of JSON: nothing, a space, or a new line with some indentation. Never endless. */
export const SPACE = '" "? | "\\n" " "{0,24}';

/** One character out of these ranges, as it is written in a string; `null` if none can be. */
export function characterOf(ranges: readonly CodePoints[]): string | null {
  const plain = intersect(ranges, PLAIN);
  const escaped = ['"', "\\", "\n", "\t"].filter((character) => {
    const point = character.codePointAt(0)!;
    return ranges.some(([first, last]) => first <= point && point <= last);
  }).map((character) => literal(JSON.stringify(character).slice(1, -1)));
  const bodies = [...(plain.length > 0 ? [oneOf(plain)] : []), ...escaped];
  return bodies.length > 0 ? choice(bodies) : null;
}

/** What is in both; both are in order and do not overlap. */
export function intersect(
  a: readonly CodePoints[],
  b: readonly CodePoints[],
): CodePoints[] {
  return a.flatMap(([first, last]) =>
    b.map((
      [from, to],
    ): CodePoints => [Math.max(first, from), Math.min(last, to)])
  ).filter(([first, last]) => first <= last);
}

/** What is not in these; they may overlap. */
export function complement(ranges: readonly CodePoints[]): CodePoints[] {
  return ranges.reduce<CodePoints[]>(
    (left, [first, last]) =>
      intersect(left, [[0, first - 1], [last + 1, 0x10ffff]]),
    [...ANY],
  );
}
