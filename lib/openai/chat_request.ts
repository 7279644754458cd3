/**
 * The body of `POST /v1/chat/completions`, checked parameter by parameter. What this server cannot
 * do is refused by name: a parameter is either obeyed, or listed here as harmless, or an error.
 *
 * @module
 */
import { z } from "zod";
import type { GenerationRequest } from "../chat/chat_model.ts";
import { boolean, integer, only, string } from "./fields.ts";
import { checkBody, type Refuse, refusing } from "./issues.ts";
import { messagesSchema, toChatMessage } from "./messages.ts";
import {
  type Delivery,
  generationParameters,
  STREAM_OPTIONS,
  toDelivery,
  toOptions,
} from "./parameters.ts";
import { given, off, withRefusals } from "./refusals.ts";
import { askedFormat, responseFormatSchema } from "./response_format.ts";
import { type CallsAsked, NEEDS_TOOLS, toCalls } from "./tool_choice.ts";
import { toolChoiceSchema, toolsSchema, toTool } from "./tools.ts";

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
  tool_choice: toolChoiceSchema.nullish(),
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
export const chatRequestSchema: typeof schema = withRefusals(schema, [
  STREAM_OPTIONS,
  {
    name: "top_logprobs",
    must: "left out unless 'logprobs' is true",
    where: { top_logprobs: given, logprobs: off },
  },
  NEEDS_TOOLS,
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
  return {
    ...toDelivery(wire),
    generation: toGeneration(wire, refusing(body)),
  };
}

function toGeneration(wire: WireRequest, refuse: Refuse): Generation {
  const { tools, stop, format } = toCalls(askedCalls(wire), refuse);
  const options = toOptions(wire);
  return {
    messages: wire.messages.map(toChatMessage),
    ...(tools.length > 0 ? { tools } : {}),
    ...options,
    stop: [...options.stop, ...stop],
    maxTokens: wire.max_completion_tokens ?? wire.max_tokens ?? undefined,
    topLogprobs: wire.logprobs ? wire.top_logprobs ?? 0 : undefined,
    format,
  };
}

function askedCalls(wire: WireRequest): CallsAsked {
  const { tool_choice: choice } = wire;
  return {
    tools: (wire.tools ?? []).map(({ function: of }, i) => ({
      ...toTool(of),
      strict: of.strict ?? false,
      path: ["tools", i, "function", "parameters"],
    })),
    choice: typeof choice === "object" && choice !== null
      ? {
        name: choice.function.name,
        path: ["tool_choice", "function", "name"],
      }
      : choice ?? "auto",
    parallel: wire.parallel_tool_calls ?? true,
    format: askedFormat(wire.response_format),
  };
}
