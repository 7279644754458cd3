/**
 * The bodies of `POST /tokenize`, `/detokenize` and `/apply-template`, in the shapes of llama.cpp's
 * server, and what answers them:
 *
 * | route | body | answer |
 * | --- | --- | --- |
 * | `/tokenize` | `{ content, add_special? }` or `{ messages, tools?, add_generation_prompt? }` | `{ tokens, count }` |
 * | `/detokenize` | `{ tokens }` | `{ content }` |
 * | `/apply-template` | `{ messages, tools?, add_generation_prompt? }` | `{ prompt }` |
 *
 * Each may name its `model`. Text never becomes a control token, here as in prompts: what the template
 * puts around messages is tokens in `/tokenize`, and can no longer be told from text in the `prompt`
 * that `/apply-template` gives.
 *
 * @module
 */
import { z } from "zod";
import type { ChatModel } from "../chat/chat_model.ts";
import { checkBody } from "./issues.ts";
import { messagesSchema, toChatMessage } from "./messages.ts";
import { boolean, only } from "./fields.ts";
import { absent, given, withRefusals } from "./refusals.ts";
import { toolsSchema, toTool } from "./tools.ts";

type Source = Parameters<ChatModel["encode"]>[0];

const model = z.string("a string").default("default");

const unsupported = {
  parse_special: only(
    [false],
    "left out or false: text never becomes a control token here",
  ),
};

const UNSUPPORTED: ReadonlySet<string> = new Set(Object.keys(unsupported));

const chat = {
  model,
  messages: messagesSchema,
  tools: toolsSchema.nullish(),
  add_generation_prompt: boolean,
};

/** What the body of `/apply-template` must be. */
export const templateSchema = z.strictObject(chat, "a JSON object")
  .meta({ id: "TemplateRequest" });

/** What the body of `/tokenize` must be. */
export const tokenizeSchema = withRefusals(
  z.strictObject({
    ...chat,
    messages: messagesSchema.optional(),
    content: z.string("a string").optional(),
    add_special: boolean,
    ...unsupported,
  }, "a JSON object"),
  [
    {
      name: "content",
      must: "a string, unless there are 'messages'",
      where: { content: absent, messages: absent },
    },
    ...["tools", "add_generation_prompt"].map((name) => ({
      name,
      must: "left out without 'messages'",
      where: { [name]: given, messages: absent },
    })),
    ...["content", "add_special"].map((name) => ({
      name,
      must: "left out beside 'messages'",
      where: { [name]: given, messages: given },
    })),
  ],
).meta({ id: "TokenizeRequest" });

/** A prompt's tokens. */
export const tokensAnswerSchema = z.object({
  tokens: z.array(z.int().min(0)),
  count: z.int().min(0),
}).meta({ id: "Tokens" });

/** Tokens' text. */
export const contentAnswerSchema = z.object({ content: z.string() })
  .meta({ id: "Content" });

/** What the template makes of messages. */
export const promptAnswerSchema = z.object({ prompt: z.string() })
  .meta({ id: "Prompt" });

const TOKENS = "a list of token ids, whole numbers from 0";

/** What a list of token ids must be. */
export const tokensSchema = z.array(
  z.number(TOKENS).int(TOKENS).min(0, TOKENS),
  TOKENS,
);

/** What the body of `/detokenize` must be. */
export const detokenizeSchema = z.strictObject(
  { model, tokens: tokensSchema },
  "a JSON object",
).meta({ id: "DetokenizeRequest" });

/** Checks the body of `/tokenize`. @throws {ApiError} a 400 that names the parameter at fault */
export function parseTokenize(
  body: unknown,
): { model: string; source: Source } {
  const wire = checkBody(tokenizeSchema, body, UNSUPPORTED);
  if (wire.messages) {
    return { model: wire.model, source: toSource(wire, wire.messages) };
  }
  const prompt = { text: wire.content ?? "", bare: !wire.add_special };
  const source = { messages: [], prompt, addGenerationPrompt: false };
  return { model: wire.model, source };
}

/** Checks the body of `/apply-template`. @throws {ApiError} a 400 that names the parameter at fault */
export function parseApplyTemplate(
  body: unknown,
): { model: string; source: Source } {
  const wire = checkBody(templateSchema, body);
  return { model: wire.model, source: toSource(wire, wire.messages) };
}

/** Checks the body of `/detokenize`. @throws {ApiError} a 400 that names the parameter at fault */
export function parseDetokenize(
  body: unknown,
): { model: string; tokens: number[] } {
  return checkBody(detokenizeSchema, body);
}

function toSource(
  wire: Pick<
    z.infer<typeof templateSchema>,
    "tools" | "add_generation_prompt"
  >,
  messages: z.infer<typeof messagesSchema>,
): Source {
  return {
    messages: messages.map(toChatMessage),
    tools: wire.tools?.map((tool) => toTool(tool.function)),
    addGenerationPrompt: wire.add_generation_prompt ?? true,
  };
}
