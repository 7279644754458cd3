/**
 * Tool calls in the text of an answer, in the syntax of Nous Research's Hermes models, which Qwen's
 * and many others share: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.
 *
 * @module
 */
import { z } from "zod";
import type { ToolCall } from "./chat_model.ts";
import { StopStrings } from "./stop_strings.ts";

/** What a call begins with. */
export const TOOL_CALL_START = "<tool_call>";
/** What a call ends with. */
export const TOOL_CALL_END = "</tool_call>";

/** A part of an answer: text for the reader, or a call for the client. */
export type AnswerPart = { text: string } | { call: ToolCall };

const wireCall = z.object({
  name: z.string().min(1),
  arguments: z.record(z.string(), z.unknown()).default({}),
});

/**
 * Reads the calls out of an answer's text as it comes. A call is given when it is complete; what only
 * looks like one is text, none of which is lost.
 *
 * @example A call across two pieces
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ToolCallReader } from "./tool_calls.ts";
 *
 * const reader = new ToolCallReader(() => "call_1");
 * assertEquals(reader.push('Let me see.<tool_call>{"name": "cl'), [{ text: "Let me see." }]);
 * assertEquals(reader.push('ock"}</tool_call>'), [
 *   { call: { id: "call_1", name: "clock", arguments: {} } },
 * ]);
 * assertEquals(reader.end(), []);
 * ```
 */
export class ToolCallReader {
  readonly #newId: () => string;
  /** Finds what comes next: a call's start, or inside of one, its end. */
  #next = new StopStrings([TOOL_CALL_START]);
  /** Text of the call that has begun. */
  #body: string | null = null;
  /** White space that belongs to the text only if more text follows. */
  #space = "";
  #called = false;

  /** @param newId makes the id of a call; by default such as is never given twice */
  constructor(newId: () => string = newCallId) {
    this.#newId = newId;
  }

  /** Whether there was a call so far. */
  get called(): boolean {
    return this.#called;
  }

  /** Takes the next piece of text; what may still become a call is held back. */
  push(piece: string): AnswerPart[] {
    const parts: AnswerPart[] = [];
    let rest = piece;
    while (rest !== "") rest = this.#push(rest, parts);
    return parts;
  }

  /** The answer is over: a call that only lacks its end is one, anything else is text. */
  end(): AnswerPart[] {
    const parts: AnswerPart[] = [];
    const held = this.#next.end();
    if (this.#body === null) this.#text(held, parts);
    else {
      this.#body += held;
      this.#call("", parts);
    }
    if (!this.#called && this.#space !== "") parts.push({ text: this.#space });
    return parts;
  }

  /** Takes text up to the next mark; gives what follows it. */
  #push(piece: string, parts: AnswerPart[]): string {
    const mark = this.#body === null ? TOOL_CALL_START : TOOL_CALL_END;
    // One character at a time, since what follows the mark is needed.
    for (let i = 0; i < piece.length; i++) {
      const { text, stopped } = this.#next.push(piece[i]!);
      if (this.#body === null) this.#text(text, parts);
      else this.#body += text;
      if (!stopped) continue;
      if (this.#body === null) this.#body = "";
      else if (isInString(this.#body)) this.#body += mark;
      else this.#call(mark, parts);
      this.#next = new StopStrings([
        this.#body === null ? TOOL_CALL_START : TOOL_CALL_END,
      ]);
      return piece.slice(i + 1);
    }
    return "";
  }

  #call(end: string, parts: AnswerPart[]): void {
    const body = this.#body ?? "";
    this.#body = null;
    const call = readCall(body);
    if (call === null) return this.#text(TOOL_CALL_START + body + end, parts);
    this.#space = "";
    this.#called = true;
    parts.push({ call: { id: this.#newId(), ...call } });
  }

  /** Calls stand on lines of their own: the white space around them is nobody's text. */
  #text(text: string, parts: AnswerPart[]): void {
    const all = this.#space + text;
    const shown = all.trimEnd();
    this.#space = all.slice(shown.length);
    if (shown === "") return;
    const last = parts.at(-1);
    if (last && "text" in last) last.text += shown;
    else parts.push({ text: shown });
  }
}

/** Whether a beginning of JSON ends inside of a string. */
function isInString(json: string): boolean {
  return json.replaceAll(/\\[^]/g, "").split('"').length % 2 === 0;
}

function newCallId(): string {
  return `call_${crypto.randomUUID().replaceAll("-", "")}`;
}

function readCall(body: string): Omit<ToolCall, "id"> | null {
  try {
    return wireCall.parse(JSON.parse(body));
  } catch {
    return null;
  }
}
