/**
 * Grammars as text, in the EBNF that XGrammar reads (W3C's, with `{m,n}`): rules, literals and
 * classes of characters.
 *
 * @module
 */
import { type Range, utf8Ranges } from "./utf8.ts";

/** A range of code points. */
export type CodePoints = Range;

/** How much more may be written than is left in the end: a rule that is there already is made, too. */
const REWRITTEN = 4;

/** Rules under names of their own; the first is the grammar's root. */
export class Rules {
  readonly #rules: string[] = ["root ::= "];
  #named = new Map<string, string>();
  #length = 0;
  /** Characters that were written, even if nothing is left of them: what making it all has cost. */
  #written = 0;
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
    if (name !== undefined) this.#count(body);
    else {
      const rule = this.declare();
      this.#named.set(body, name = rule.name);
      rule.define(body);
    }
    return name;
  }

  /** What `make` gives; if it throws, the rules are what they were. */
  orUndone<Made>(make: () => Made): Made {
    const [count, length] = [this.#rules.length, this.#length];
    const named = new Map(this.#named);
    try {
      return make();
    } catch (error) {
      this.#rules.length = count;
      this.#length = length;
      this.#named = named;
      throw error;
    }
  }

  /** The text, with this body as its root. */
  finish(body: string): string {
    this.#set(0, "root", body);
    return this.#rules.join("\n");
  }

  #set(index: number, name: string, body: string): void {
    this.#length += body.length + 10;
    this.#count(body);
    this.#rules[index] = `${name} ::= ${body}`;
  }

  #count(body: string): void {
    this.#written += body.length + 10;
    if (
      this.#length > this.#most || this.#written > REWRITTEN * this.#most
    ) {
      throw new RangeError(
        `Cannot make a grammar of more than ${this.#most} characters`,
      );
    }
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
