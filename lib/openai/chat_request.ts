/**
 * The body of `POST /v1/chat/completions`, checked parameter by parameter. What this server cannot
 * do is refused by name: a parameter is either obeyed, or listed here as harmless, or an error.
 *
 * @module
 */
import { z } from "zod";
import type { GenerationRequest } from "../chat/chat_model.ts";
import { TOOL_CALL_END } from "../chat/tool_calls.ts";
import { boolean, integer, only, string } from "./fields.ts";
import { checkBody } from "./issues.ts";
import { messagesSchema, toChatMessage } from "./messages.ts";
import {
  type Delivery,
  generationParameters,
  STREAM_OPTIONS,
  toDelivery,
  toOptions,
} from "./parameters.ts";
import { given, off, refusing } from "./refusals.ts";
import { responseFormatSchema, toAnswerFormat } from "./response_format.ts";
import { toolsSchema, toTool } from "./tools.ts";

/** A checked request. */
export interface ChatRequest extends Delivery {
  generation: Generation;
}

/** What is asked of the model, by whomever: who asks is not in the body. */
export type Generation = Omit<GenerationRequest, "client">;

/** Parameters that are obeyed. */
const obeyed = {
  ...generationParameters,
  messages: messagesSchema,
  max_completion_tokens: integer(1, "a positive integer"),
  logprobs: boolean,
  top_logprobs: integer(0, "an integer from 0 to 20", 20),
  response_format: responseFormatSchema.nullish(),
  tools: toolsSchema.nullish(),
  parallel_tool_calls: boolean,
};

/** Parameters that change nothing about an answer of this server. */
const harmless = {
  user: string,
  safety_identifier: string,
  metadata: z.record(z.string(), z.unknown(), "an object").nullish(),
  store: boolean,
  prompt_cache_key: string,
  prompt_cache_retention: string,
};

/** OpenAI's parameters that this server cannot serve. */
const unsupported = {
  tool_choice: only(
    ["none", "auto"],
    '"none", "auto" or left out: this server cannot force a call',
  ),
  functions: only([], "left out: this server calls no functions"),
  function_call: only([], "left out: this server calls no functions"),
  modalities: only(
    [["text"]],
    'left out or ["text"]: this server writes nothing else',
  ),
  service_tier: only(
    ["auto", "default"],
    'left out, "auto" or "default": this server has one tier',
  ),
  audio: only([], "left out: this server has no audio"),
  prediction: only([], "left out: this server takes no predictions"),
  reasoning_effort: only([], "left out: this server steers no reasoning"),
  verbosity: only([], "left out: this server steers no length"),
  web_search_options: only([], "left out: this server does not search the web"),
  moderation: only([], "left out: this server does not moderate"),
  prompt_cache_options: only([], "left out: its caches take no options"),
};

const UNSUPPORTED: ReadonlySet<string> = new Set(Object.keys(unsupported));

const schema = z.strictObject(
  { ...obeyed, ...harmless, ...unsupported },
  "a JSON object",
).superRefine((body, context) => {
  const { max_tokens: most, max_completion_tokens: mostCompletion } = body;
  if (most != null && mostCompletion != null && most !== mostCompletion) {
    const message = "left out or equal to 'max_completion_tokens'";
    context.addIssue({ code: "custom", path: ["max_tokens"], message });
  }
});

/** What the body must be. */
export const chatRequestSchema: typeof schema = refusing(schema, [
  STREAM_OPTIONS,
  {
    name: "top_logprobs",
    must: "left out unless 'logprobs' is true",
    where: { top_logprobs: given, logprobs: off },
  },
  {
    name: "tools",
    must:
      "left out with a 'response_format' of JSON: it leaves no room for calls",
    where: {
      tools: z.array(z.unknown()).min(1),
      tool_choice: z.literal("auto").nullish(),
      response_format: z.looseObject({
        type: z.enum(["json_object", "json_schema"]),
      }),
    },
  },
]).meta({ id: "ChatCompletionRequest" });

type WireRequest = z.infer<typeof schema>;

/**
 * Checks a request's body.
 *
 * @throws {ApiError} a 400 that names the parameter at fault
 * @example A body of messages alone
 * ```ts
 * import { parseChatRequest } from "./chat_request.ts";
 *
 * const request = parseChatRequest({ messages: [{ role: "user", content: "Hi" }] });
 * console.log(request.model); // "default"
 * ```
 */
export function parseChatRequest(body: unknown): ChatRequest {
  const wire = checkBody(chatRequestSchema, body, UNSUPPORTED);
  return { ...toDelivery(wire), generation: toGeneration(wire) };
}

function toGeneration(wire: WireRequest): Generation {
  const tools = wire.tool_choice === "none" ? [] : wire.tools ?? [];
  const options = toOptions(wire);
  const single = tools.length > 0 && wire.parallel_tool_calls === false;
  return {
    messages: wire.messages.map(toChatMessage),
    ...(tools.length > 0 ? { tools: tools.map(toTool) } : {}),
    ...options,
    // A call that only lacks its end is one.
    stop: single ? [...options.stop, TOOL_CALL_END] : options.stop,
    maxTokens: wire.max_completion_tokens ?? wire.max_tokens ?? undefined,
    topLogprobs: wire.logprobs ? wire.top_logprobs ?? 0 : undefined,
    format: toAnswerFormat(wire.response_format),
  };
}
