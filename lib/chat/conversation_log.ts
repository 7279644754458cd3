/**
 * What a slot remembers of its conversation: its text, for as long as it lives, however much of it
 * the cache has forgotten. A request whose prompt begins with that text goes on from there.
 *
 * Texts are compared, not ids: an answer generated token by token can be split otherwise than the
 * same text is when it comes back in a prompt. A prompt can go on only at a *joint*, beside a
 * control token, since the tokens of plain text depend on what follows it.
 *
 * @module
 */
import { firstFrom } from "../cache/ascending.ts";
import type { Piece, Tokenizer } from "../text/tokenizer.ts";
import { Utf8Stream } from "../text/utf8_stream.ts";
import { canonicalText } from "./template.ts";

/** A point of the text between two tokens. */
interface Joint {
  /** Tokens before it. */
  readonly tokens: number;
  /** UTF-16 units of canonical text before it. */
  readonly length: number;
}

/** How much of a prompt a log already holds. */
export type Overlap = Joint;

const NONE: Overlap = { tokens: 0, length: 0 };
const NOTHING = { tokens: 0, starts: [] };

/** The text of one slot's conversation, as {@linkcode canonicalText}. */
export class ConversationLog {
  readonly #tokenizer: Tokenizer;
  readonly #openers: ReadonlySet<number>;
  readonly #joints: Joint[] = [];
  readonly #starts: number[];
  #utf8 = new Utf8Stream();
  #text = "";
  #tokens: number;

  /**
   * @param openers control tokens with which a prompt's messages begin: see {@linkcode ConversationLog.starts}
   * @param behind what comes before all of it: so many tokens, whose text it does not know
   */
  constructor(
    tokenizer: Tokenizer,
    openers: ReadonlySet<number> = new Set(),
    behind: { tokens: number; starts: readonly number[] } = NOTHING,
  ) {
    this.#tokenizer = tokenizer;
    this.#openers = openers;
    this.#tokens = behind.tokens;
    this.#starts = [...behind.starts];
  }

  /** Canonical text of all tokens so far. */
  get text(): string {
    return this.#text;
  }

  /** Tokens so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Positions of the tokens with which messages begin, ascending. What is generated begins none. */
  get starts(): readonly number[] {
    return this.#starts;
  }

  /**
   * Appends a prompt; gives its token ids.
   *
   * @param pause awaited after every few milliseconds of work
   */
  async appendPrompt(
    pieces: readonly Piece[],
    pause: () => Promise<void>,
  ): Promise<number[]> {
    const ids: number[] = [];
    for (const piece of joinText(pieces)) {
      const before = ids.length;
      for (const part of this.#tokenizer.encodeParts([piece])) {
        for (const id of part) ids.push(id);
        if (part.length > 1) await pause();
      }
      const control = "special" in piece;
      if (control && this.#openers.has(piece.special)) {
        this.#starts.push(this.#tokens);
      }
      this.#append(canonicalText([piece]), ids.length - before, control);
    }
    return ids;
  }

  /** Appends a prompt's tokens as they are; what is generated may complete their last character. */
  appendTokens(tokens: readonly number[]): number[] {
    for (const id of tokens) this.appendToken(id);
    return [...tokens];
  }

  /** Appends a generated token; gives the text that became whole. */
  appendToken(id: number): string {
    if (this.#tokenizer.isControl(id)) {
      const text = this.#utf8.end();
      this.#append(text, 0, false);
      this.#append(canonicalText([{ special: id }]), 1, true);
      this.#utf8 = new Utf8Stream();
      return text;
    }
    const text = this.#utf8.push(this.#tokenizer.bytes(id));
    this.#append(text, 1, false);
    return text;
  }

  /** Ends an answer; gives what an unfinished character leaves. */
  endAnswer(): string {
    const text = this.#utf8.end();
    this.#utf8 = new Utf8Stream();
    this.#append(text, 0, false);
    return text;
  }

  /**
   * How far a prompt can go on from this log: to its end, or, where the slot can be rewound, to
   * the last joint up to which both are equal. At least one token of the prompt is left over.
   *
   * @param prompt canonical text
   */
  overlap(prompt: string, rewindable: boolean): Overlap {
    const end: Joint = { tokens: this.#tokens, length: this.#text.length };
    if (prompt.startsWith(this.#text) && isJoint(prompt, end.length)) {
      return end;
    }
    if (!rewindable) return NONE;
    const common = commonPrefix(prompt, this.#text);
    return this.#joints.findLast((joint) =>
      joint.length <= common && isJoint(prompt, joint.length)
    ) ?? NONE;
  }

  /** Forgets what lies behind a joint that {@linkcode overlap} gave, an unfinished character too. */
  rewind(to: Overlap): void {
    this.#utf8 = new Utf8Stream();
    this.#text = this.#text.slice(0, to.length);
    this.#tokens = to.tokens;
    this.#starts.length = firstFrom(this.#starts, to.tokens);
    while (this.#joints.length > 0 && this.#joints.at(-1)!.length > to.length) {
      this.#joints.pop();
    }
  }

  #append(text: string, tokens: number, control: boolean): void {
    if (control) this.#addJoint();
    this.#text += text;
    this.#tokens += tokens;
    if (control) this.#addJoint();
  }

  #addJoint(): void {
    if (this.#joints.at(-1)?.length === this.#text.length) return;
    this.#joints.push({ tokens: this.#tokens, length: this.#text.length });
  }
}

const MARK = "\uDC00"; // how a control token begins in canonical text

/** Whether tokens never join across this point of a prompt, and something follows it. */
export function isJoint(prompt: string, length: number): boolean {
  if (length >= prompt.length) return false;
  // Behind a high surrogate, a mark is the second half of a character (U+10000 for one).
  return prompt[length] === MARK ||
    /(?<![\uD800-\uDBFF])\uDC00\d{1,10};$/.test(
      prompt.slice(Math.max(0, length - 13), length),
    );
}

function commonPrefix(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a.charCodeAt(length) === b.charCodeAt(length)) {
    length++;
  }
  return length;
}

function joinText(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last && "text" in last && "text" in piece) last.text += piece.text;
    else joined.push({ ...piece });
  }
  return joined;
}
