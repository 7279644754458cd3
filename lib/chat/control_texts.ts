/**
 * The texts of control tokens in other text: found where a template wrote them, broken up where
 * somebody else did.
 *
 * @module
 */
import type { Piece, Tokenizer } from "../text/tokenizer.ts";

/** Finds control tokens' texts in text. */
export class ControlTexts {
  readonly #ids: ReadonlyMap<string, number>;
  /** One control token's text, as a group so that splitting keeps it; `null` if there is none. */
  readonly #any: RegExp | null;
  /** Where a control token's text begins, overlapping ones too, after its first character. */
  readonly #inside: RegExp | null;
  /** Beginnings and endings of control tokens' texts. */
  readonly #heads = new Set<string>();
  readonly #tails = new Set<string>();
  /** First and last characters of control tokens' texts. */
  readonly #firsts: ReadonlySet<string>;
  readonly #lasts: ReadonlySet<string>;
  readonly #longest: number;

  /** Takes the tokenizer's control tokens. */
  constructor(tokenizer: Tokenizer) {
    // A text of one character cannot be broken up; no known vocabulary has such a control token.
    const texts = tokenizer.controlTexts.filter((text) =>
      Array.from(text).length > 1
    );
    texts.sort((a, b) => b.length - a.length);
    this.#ids = new Map(
      texts.map((text) => [text, tokenizer.control(text) as number]),
    );
    this.#firsts = new Set(texts.map((text) => text[0]!));
    this.#lasts = new Set(texts.map((text) => text.at(-1)!));
    this.#longest = texts[0]?.length ?? 0;
    const any = texts.map((text) => RegExp.escape(text)).join("|");
    this.#any = any === "" ? null : new RegExp(`(${any})`, "u");
    this.#inside = any === "" ? null : new RegExp(`(?=(?:${any}))[^]`, "gu");
    for (const text of texts) {
      for (let i = 1; i < text.length; i++) {
        this.#heads.add(text.slice(0, i));
        this.#tails.add(text.slice(i));
      }
    }
  }

  /** The text of a control token, `""` of any other. */
  textOf(id: number | undefined): string {
    for (const [text, other] of this.#ids) if (other === id) return text;
    return "";
  }

  /** Text as pieces: what reads as a control token is one. */
  split(text: string): Piece[] {
    if (!this.#any) return text === "" ? [] : [{ text }];
    return text.split(this.#any).map((part) => {
      const id = this.#ids.get(part);
      return id === undefined ? { text: part } : { special: id };
    });
  }

  /**
   * Breaks up control tokens' texts: whole ones inside, and at the edges those that what stands
   * before or behind might complete. The edges are those of the trimmed text: templates trim.
   */
  breakUp(text: string, noncharacter: string): string {
    const core = text.trim();
    if (!this.#inside || core === "") return text;
    const begin = text.indexOf(core);
    const edge = this.#mayBeCompleted(core) ? noncharacter : "";
    const broken = core.replace(this.#inside, `$&${noncharacter}`);
    return text.slice(0, begin) + edge + broken + edge +
      text.slice(begin + core.length);
  }

  /** Whether the text ends as a control token's begins, or the reverse, or lies inside of one. */
  #mayBeCompleted(core: string): boolean {
    // Hardly any text has such a character there, and a history is full of texts.
    const mayEnd = hasOne(core.slice(-this.#longest), this.#firsts);
    const mayBegin = hasOne(core.slice(0, this.#longest), this.#lasts);
    if (mayEnd || mayBegin) {
      for (let n = Math.min(core.length, this.#longest); n > 0; n--) {
        if (this.#heads.has(core.slice(-n))) return true;
        if (this.#tails.has(core.slice(0, n))) return true;
      }
    }
    if (core.length >= this.#longest) return false;
    for (const text of this.#ids.keys()) if (text.includes(core)) return true;
    return false;
  }
}

function hasOne(text: string, characters: ReadonlySet<string>): boolean {
  for (const character of characters) if (text.includes(character)) return true;
  return false;
}
