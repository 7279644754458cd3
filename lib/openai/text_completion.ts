/** The choices of OpenAI's `text_completion`, of the legacy endpoint. @module */
import type { TokenLogprob } from "../chat/chat_model.ts";
import {
  type ChoiceWriter,
  type Piece,
  type WireFormat,
  wireLogprob,
} from "./completion.ts";

/**
 * How `/v1/completions` writes answers.
 *
 * @param echo what each choice's text begins with
 */
export function textFormat(echo: (index: number) => string): WireFormat {
  return {
    prefix: "cmpl",
    object: "text_completion",
    chunk: "text_completion",
    choice: (index) => new TextChoice(echo(index)),
  };
}

class TextChoice implements ChoiceWriter {
  readonly #echo: string;
  /** Characters that the tokens so far have begun. */
  #characters = 0;

  constructor(echo: string) {
    this.#echo = echo;
  }

  open(): object | null {
    return this.#echo === "" ? null : { text: this.#echo, logprobs: null };
  }

  piece({ text, logprobs }: Piece): object {
    return { text, logprobs: this.#logprobs(logprobs) };
  }

  close(): object {
    return { text: "", logprobs: null };
  }

  whole(piece: Piece): object {
    return this.piece({ ...piece, text: this.#echo + piece.text });
  }

  #logprobs(logprobs: Piece["logprobs"]): object | null {
    if (logprobs === null) return null;
    return {
      tokens: logprobs.map(tokenText),
      token_logprobs: logprobs.map(({ logprob }) => wireLogprob(logprob)),
      top_logprobs: logprobs.map((token) => topLogprobs(token)),
      text_offset: logprobs.map((token) => this.#offset(token)),
    };
  }

  /** Where a token begins in the text, in characters; inside of one, where that one begins. */
  #offset({ bytes }: TokenLogprob): number {
    const inside = bytes[0] !== undefined && isContinuation(bytes[0]);
    const offset = this.#characters - (inside ? 1 : 0);
    this.#characters += bytes.filter((byte) => !isContinuation(byte)).length;
    return Math.max(0, offset);
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** The most likely tokens, and the chosen one even if it is none of them. */
function topLogprobs(
  token: NonNullable<Piece["logprobs"]>[number],
): Record<string, number> {
  const entries = [...token.top, token].map((
    one,
  ) => [tokenText(one), wireLogprob(one.logprob)]);
  return Object.fromEntries(entries);
}

/** A token's text or, of part of a character, OpenAI's way to write bytes: `bytes:\xc3`. */
function tokenText({ token, bytes }: TokenLogprob): string {
  if (!token.includes("\uFFFD")) return token;
  const text = new TextEncoder().encode(token);
  const whole = text.length === bytes.length &&
    text.every((byte, i) => byte === bytes[i]);
  return whole
    ? token
    : `bytes:${
      bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")
    }`;
}
