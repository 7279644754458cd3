/**
 * A JSON Schema `pattern` as grammar of what a JSON string holds between its quotes.
 *
 * The pattern is one of ECMAScript's without look-around, back references and boundaries, and is
 * matched by the whole string: JSON Schema asks for a match anywhere in it, which that is, too.
 *
 * @module
 */
import { characterOf, complement } from "./json_text.ts";
import {
  choice,
  type CodePoints,
  pointOf,
  repeat,
  type Rules,
} from "./ebnf.ts";

/** Most characters of a pattern. */
export const MAX_PATTERN = 512;
/** Most groups within groups. */
const MAX_DEPTH = 8;
/** Most repetitions that a quantifier counts. */
const MAX_COUNT = 256;

const DIGIT: CodePoints[] = [[0x30, 0x39]];
const WORD: CodePoints[] = [...DIGIT, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACES: CodePoints[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: CodePoints[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]];
const CLASSES: Readonly<Record<string, CodePoints[]>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: complement(SPACES),
};
const CONTROLS: Readonly<Record<string, number>> = {
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
};

/**
 * The grammar of a pattern.
 *
 * @throws {SyntaxError} if the pattern is not one, or has what this does not know; the message says what.
 */
export function patternGrammar(pattern: string, rules: Rules): string {
  if (pattern.length > MAX_PATTERN) {
    throw new SyntaxError(`more than ${MAX_PATTERN} characters`);
  }
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    throw new SyntaxError((error as Error).message);
  }
  return new PatternReader(pattern, rules).read();
}

/** Reads a valid pattern by recursive descent. */
class PatternReader {
  readonly #characters: readonly string[];
  readonly #rules: Rules;
  #place = 0;

  constructor(pattern: string, rules: Rules) {
    this.#rules = rules;
    this.#characters = Array.from(pattern);
  }

  read(): string {
    return this.#choice(0);
  }

  #choice(depth: number): string {
    if (depth > MAX_DEPTH) {
      throw new SyntaxError(`more than ${MAX_DEPTH} groups within groups`);
    }
    const bodies = [this.#sequence(depth)];
    while (this.#take("|")) bodies.push(this.#sequence(depth));
    if (bodies.length === 1) return `(${bodies[0]})`;
    // In one rule, XGrammar 0.1.27 can take the end of one branch for the middle of another.
    return choice(bodies.map((body) => this.#rules.add(body)));
  }

  #sequence(depth: number): string {
    const bodies: string[] = [];
    if (depth === 0) this.#take("^");
    while (this.#peek() !== undefined && !"|)".includes(this.#peek()!)) {
      if (depth === 0 && this.#take("$")) {
        if (this.#peek() === undefined || this.#peek() === "|") break;
        throw new SyntaxError("a '$' before the end");
      }
      bodies.push(this.#quantified(this.#atom(depth)));
    }
    return bodies.length > 0 ? bodies.join(" ") : '""';
  }

  #atom(depth: number): string {
    const character = this.#next();
    switch (character) {
      case "(":
        return this.#group(depth);
      case "[":
        return characters(this.#class());
      case ".":
        return characters(complement(LINE_ENDS));
      case "\\":
        return characters(this.#escape());
      case "^":
      case "$":
        throw new SyntaxError(`a '${character}' that is not at an end`);
      default:
        return characters([pointOf(character)]);
    }
  }

  #group(depth: number): string {
    if (this.#take("?")) {
      if (!this.#take(":")) {
        throw new SyntaxError("a group other than '(…)' and '(?:…)'");
      }
    }
    const body = this.#choice(depth + 1);
    this.#next();
    return body;
  }

  #class(): CodePoints[] {
    const negated = this.#take("^");
    const ranges: CodePoints[] = [];
    while (!this.#take("]")) {
      const first = this.#classAtom();
      const isRange = this.#peek() === "-" &&
        this.#characters[this.#place + 1] !== "]";
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      this.#next();
      ranges.push([first[0]![0], this.#classAtom()[0]![1]]);
    }
    return negated ? complement(ranges) : complement(complement(ranges));
  }

  #classAtom(): CodePoints[] {
    if (this.#take("\\")) {
      return this.#take("b") ? [[8, 8]] : this.#escape();
    }
    return [pointOf(this.#next())];
  }

  #escape(): CodePoints[] {
    const character = this.#next();
    if (Object.hasOwn(CLASSES, character)) return CLASSES[character]!;
    if (Object.hasOwn(CONTROLS, character)) {
      const code = CONTROLS[character]!;
      return [[code, code]];
    }
    const digits = character === "x" ? 2 : character === "u" ? 4 : 0;
    if (digits > 0 && this.#peek() !== "{") {
      const hex = Array.from({ length: digits }, () => this.#next()).join("");
      const code = parseInt(hex, 16);
      if (code >= 0xd800 && code <= 0xdfff) {
        throw new SyntaxError("a surrogate in place of its character");
      }
      return [[code, code]];
    }
    if (/[\w]/.test(character)) {
      throw new SyntaxError(`an escape '\\${character}'`);
    }
    return [pointOf(character)];
  }

  #quantified(body: string): string {
    const character = this.#peek();
    const counts = character === "*"
      ? [0, Infinity]
      : character === "+"
      ? [1, Infinity]
      : character === "?"
      ? [0, 1]
      : character === "{"
      ? this.#counts()
      : null;
    if (counts === null) return body;
    this.#next();
    this.#take("?"); // lazy: the same texts
    return repeat(body, { min: counts[0]!, max: counts[1]! });
  }

  /** Those of a `{m,n}`; its `}` comes next. */
  #counts(): number[] {
    this.#next();
    let text = "";
    while (this.#peek() !== "}") text += this.#next();
    const [min = "", max = min] = text.split(",");
    const counts = [Number(min), max === "" ? Infinity : Number(max)];
    if (counts.some((count) => count > MAX_COUNT && count !== Infinity)) {
      throw new SyntaxError(`a count over ${MAX_COUNT}`);
    }
    return counts;
  }

  #peek(): string | undefined {
    return this.#characters[this.#place];
  }

  #next(): string {
    return this.#characters[this.#place++]!;
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#place++;
    return true;
  }
}

function characters(ranges: readonly CodePoints[]): string {
  const body = characterOf(ranges);
  if (body === null) {
    throw new SyntaxError("a character that JSON's text cannot hold");
  }
  return body;
}
