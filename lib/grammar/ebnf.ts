/**
 * Grammars as text, in the EBNF that XGrammar reads (W3C's, with `{m,n}`): rules, literals and
 * classes of characters.
 *
 * @module
 */
import { type Range, utf8Ranges } from "./utf8.ts";

/** A range of code points. */
export type CodePoints = Range;

/** Rules under names of their own; the first is the grammar's root. */
export class Rules {
  readonly #rules: string[] = ["root ::= "];
  readonly #named = new Map<string, string>();
  #length = 0;
  readonly #most: number;

  /** @param most characters of the whole text */
  constructor(most: number) {
    this.#most = most;
  }

  /** A new rule's name; its body comes later, so that it may be recursive. */
  declare(): { name: string; define: (body: string) => void } {
    const index = this.#rules.push("") - 1;
    const name = `r${index}`;
    return { name, define: (body) => this.#set(index, name, body) };
  }

  /** The name of a rule with this body: one for equal bodies. */
  add(body: string): string {
    let name = this.#named.get(body);
    if (name === undefined) {
      const rule = this.declare();
      this.#named.set(body, name = rule.name);
      rule.define(body);
    }
    return name;
  }

  /** The text, with this body as its root. */
  finish(body: string): string {
    this.#set(0, "root", body);
    return this.#rules.join("\n");
  }

  #set(index: number, name: string, body: string): void {
    this.#length += body.length + 10;
    if (this.#length > this.#most) {
      throw new RangeError(
        `Cannot make a grammar of more than ${this.#most} characters`,
      );
    }
    this.#rules[index] = `${name} ::= ${body}`;
  }
}

/** Exactly this text. */
export function literal(text: string): string {
  const escaped = Array.from(
    text.toWellFormed(),
    (character) =>
      /[\w ,:.{}+-]|\[|\]/.test(character) ? character : escape(character),
  );
  return `"${escaped.join("")}"`;
}

/** One of these characters; at least one range. */
export function oneOf(ranges: readonly CodePoints[]): string {
  const sequences = ranges.flatMap(utf8Ranges);
  const ascii = sequences.filter(({ length }) => length === 1).flat();
  return choice([
    ...(ascii.length > 0 ? [byteOf(ascii)] : []),
    ...sequences.filter(({ length }) => length > 1)
      .map((bytes) => bytes.map((range) => byteOf([range])).join(" ")),
  ]);
}

/**
 * One byte: what XGrammar takes a class for whose characters are all below U+0100. A class of one
 * character it takes for that character, which may be two bytes: hence the end given twice.
 */
function byteOf(ranges: readonly Range[]): string {
  const hex = (byte: number) => `\\x${byte.toString(16).padStart(2, "0")}`;
  const ends = ranges.map(([first, last]) =>
    first === last ? hex(first) + hex(first) : `${hex(first)}-${hex(last)}`
  );
  return `[${ends.join("")}]`;
}

/** One of these; at least one. */
export function choice(bodies: readonly string[]): string {
  return bodies.length === 1 ? bodies[0]! : `(${bodies.join(" | ")})`;
}

/** `body` so many times. */
export function repeat(
  body: string,
  { min, max }: { min: number; max: number },
): string {
  if (max === 0) return '""';
  return `(${body}){${min},${max === Infinity ? "" : max}}`;
}

/** The range of one character. */
export function pointOf(character: string): CodePoints {
  const point = character.codePointAt(0)!;
  return [point, point];
}

function escape(character: string): string {
  const hex = character.codePointAt(0)!.toString(16).toUpperCase();
  return `\\U${hex.padStart(8, "0")}`;
}
