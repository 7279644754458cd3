/** What prompts are made of, as pieces and as text. @module */
import type { Piece, Tokenizer } from "../text/tokenizer.ts";
import {
  type ChatMessage,
  type PromptSource,
  RequestError,
} from "./chat_model.ts";
import { canonicalText, type ChatTemplate, piecesOf } from "./template.ts";

/** What reads prompts. */
export interface PromptReader {
  readonly template: ChatTemplate;
  readonly tokenizer: Tokenizer;
}

/**
 * The pieces of a prompt. Of a raw text all are plain text, but for the token that some models expect
 * before each; token ids are taken as they are.
 *
 * @throws {RequestError} if there are tools and the template knows none, or a token does not exist
 */
export function readPieces(
  { messages, tools = [], prompt }: PromptSource,
  { template, tokenizer }: PromptReader,
  { addGenerationPrompt }: { addGenerationPrompt: boolean },
): Piece[] {
  if (!prompt) {
    if (!template.toolCalls) refuseTools({ messages, tools });
    return template.render(messages, { addGenerationPrompt, tools });
  }
  if ("tokens" in prompt) {
    return piecesOfTokens(prompt.tokens, { tokenizer, param: "prompt" });
  }
  const { bos, addsBos } = tokenizer;
  const text = { text: prompt.text };
  return addsBos && bos !== undefined && !prompt.bare
    ? [{ special: bos }, text]
    : [text];
}

/**
 * The pieces of messages that go on with a conversation. Tools are told of in a system block before
 * them, which is the first of them if that is the system's.
 *
 * @throws {RequestError} if there are tools and the template knows none, or messages cannot come there
 */
export function readPiecesBehind(
  { messages, tools = [] }: PromptSource,
  { template }: Pick<PromptReader, "template">,
): Piece[] {
  if (!template.toolCalls) refuseTools({ messages, tools });
  const behind = (messages: ChatMessage[], addGenerationPrompt: boolean) =>
    template.renderBehind(messages, { addGenerationPrompt });
  if (tools.length === 0) return behind(messages, true);
  const given = messages[0]?.role === "system" ? messages[0] : null;
  const system = given ?? { role: "system", content: "" };
  const end = behind([], false);
  const block = template.render([system], {
    addGenerationPrompt: false,
    tools,
  });
  const others = canonicalText(behind(messages.slice(given ? 1 : 0), true))
    .slice(canonicalText(end).length);
  return [...end, ...block, ...piecesOf(others)];
}

function refuseTools({ messages, tools = [] }: PromptSource): void {
  const what =
    "this model's chat template has no tools whose calls this server can read";
  if (tools.length > 0) {
    throw new RequestError(
      `'tools' must be left out: ${what}. Remove it, or use another model.`,
      "tools",
    );
  }
  const index = messages.findIndex(({ toolCalls }) => toolCalls);
  if (index < 0) return;
  throw new RequestError(
    `Calls of tools must be left out: ${what}. Remove them, or use another model.`,
    `messages[${index}].tool_calls`,
  );
}

/**
 * Tokens as pieces; bytes that are no UTF-8 become U+FFFD.
 *
 * @param of.param the request's parameter that they are from
 * @throws {RequestError} if a token does not exist
 */
export function piecesOfTokens(
  tokens: readonly number[],
  { tokenizer, param }: { tokenizer: Tokenizer; param: string },
): Piece[] {
  const pieces: Piece[] = [];
  let decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const flush = (text: string) => {
    if (text !== "") pieces.push({ text });
  };
  for (const id of tokens) {
    if (!(id < tokenizer.size)) {
      throw new RequestError(
        `Token ${id} does not exist: this model's are 0 to ${
          tokenizer.size - 1
        }. Correct it.`,
        param,
      );
    }
    if (tokenizer.isControl(id)) {
      flush(decoder.decode());
      decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      pieces.push({ special: id });
    } else flush(decoder.decode(tokenizer.bytes(id), { stream: true }));
  }
  flush(decoder.decode());
  return pieces;
}

/** Pieces as text, in which control tokens have their texts. */
export function textOfPieces(
  pieces: readonly Piece[],
  tokenizer: Tokenizer,
): string {
  const texts = new Map(
    tokenizer.controlTexts.map((text) => [tokenizer.control(text), text]),
  );
  return pieces.map((piece) =>
    "text" in piece ? piece.text : texts.get(piece.special) ?? ""
  ).join("");
}
