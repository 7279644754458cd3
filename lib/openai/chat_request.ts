/**
 * The body of `POST /v1/chat/completions`, checked parameter by parameter. What this server cannot
 * do is refused by name: a parameter is either obeyed, or listed here as harmless, or an error.
 *
 * @module
 */
import { z } from "zod";
import type { GenerationRequest } from "../chat/chat_model.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import { everstreamSchema, toPolicy } from "./everstream.ts";
import { boolean, integer, number, only, string } from "./fields.ts";
import { issuesToError } from "./issues.ts";
import { messagesSchema, toChatMessage } from "./messages.ts";

/** A checked request. */
export interface ChatRequest {
  /** The model's id, or `default`. */
  model: string;
  stream: boolean;
  /** Whether a stream ends with a chunk of usage. */
  includeUsage: boolean;
  generation: Generation;
}

/** What is asked of the model, by whomever: who asks is not in the body. */
export type Generation = Omit<GenerationRequest, "client">;

const stopString = z.string("a string").min(1, "a string that is not empty");
const STOP = "a string or a list of 1 to 16 strings";
const stop = z.union([
  stopString,
  z.array(stopString).min(1, STOP).max(16, STOP),
], STOP);

const LOGIT_BIAS = "a map from token ids to numbers from -100 to 100";
const logitBias = z.record(
  z.string().regex(/^(0|[1-9]\d{0,8})$/),
  z.number(LOGIT_BIAS).min(-100, LOGIT_BIAS).max(100, LOGIT_BIAS),
  LOGIT_BIAS,
);

/** Parameters that are obeyed. */
const obeyed = {
  messages: messagesSchema,
  model: z.string("a string").optional(),
  stream: boolean,
  stream_options: z.strictObject({
    include_usage: boolean,
    // Padding against traffic analysis; a server that sends none harms nobody's parsing.
    include_obfuscation: boolean,
  }, 'an object, as {"include_usage": true}').nullish(),
  stop: stop.nullish(),
  max_tokens: integer(1, "a positive integer"),
  max_completion_tokens: integer(1, "a positive integer"),
  temperature: number(0, 2),
  top_p: number(0, 1),
  top_k: integer(0, "an integer of 0 (off) or more"),
  min_p: number(0, 1),
  repetition_penalty: z.number("a number over 0").positive("a number over 0")
    .nullish(),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  logit_bias: logitBias.nullish(),
  seed: integer(Number.MIN_SAFE_INTEGER, "an integer within ±(2^53 - 1)"),
  logprobs: boolean,
  top_logprobs: integer(0, "an integer from 0 to 20", 20),
  everstream: everstreamSchema,
  n: z.literal(1, "1: this server gives one answer to a request").nullish(),
};

/** Parameters that change nothing about an answer of this server. */
const harmless = {
  user: string,
  safety_identifier: string,
  metadata: z.record(z.string(), z.unknown(), "an object").nullish(),
  store: boolean,
  parallel_tool_calls: boolean,
  prompt_cache_key: string,
  prompt_cache_retention: string,
};

/** OpenAI's parameters that this server cannot serve. */
const unsupported = {
  tools: only([[]], "left out: this server calls no tools"),
  tool_choice: only(
    ["none", "auto"],
    'left out or "none": this server calls no tools',
  ),
  functions: only([], "left out: this server calls no functions"),
  function_call: only([], "left out: this server calls no functions"),
  response_format: only(
    [{ type: "text" }],
    'left out or {"type":"text"}: this server forces no format',
  ),
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
)
  .superRefine((body, context) => {
    const refuse = (name: keyof typeof body, message: string) =>
      context.addIssue({ code: "custom", path: [name], message });
    if (body.stream_options != null && body.stream !== true) {
      refuse("stream_options", "left out unless 'stream' is true");
    }
    if (body.top_logprobs != null && body.logprobs !== true) {
      refuse("top_logprobs", "left out unless 'logprobs' is true");
    }
    const { max_tokens: most, max_completion_tokens: mostCompletion } = body;
    if (most != null && mostCompletion != null && most !== mostCompletion) {
      refuse("max_tokens", "left out or equal to 'max_completion_tokens'");
    }
  });

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
  const result = schema.safeParse(body);
  if (!result.success) {
    throw issuesToError(result.error.issues, {
      body,
      unsupported: UNSUPPORTED,
    });
  }
  const wire = result.data;
  return {
    model: wire.model ?? "default",
    stream: wire.stream ?? false,
    includeUsage: wire.stream_options?.include_usage ?? false,
    generation: toGeneration(wire),
  };
}

function toGeneration(wire: WireRequest): Generation {
  return {
    messages: wire.messages.map(toChatMessage),
    sampling: toSampling(wire),
    maxTokens: wire.max_completion_tokens ?? wire.max_tokens ?? undefined,
    stop: typeof wire.stop === "string" ? [wire.stop] : wire.stop ?? [],
    topLogprobs: wire.logprobs ? wire.top_logprobs ?? 0 : undefined,
    policy: toPolicy(wire.everstream),
  };
}

function toSampling(wire: WireRequest): SamplingOptions {
  return {
    temperature: wire.temperature ?? undefined,
    topK: wire.top_k ?? undefined,
    topP: wire.top_p ?? undefined,
    minP: wire.min_p ?? undefined,
    repetitionPenalty: wire.repetition_penalty ?? undefined,
    presencePenalty: wire.presence_penalty ?? undefined,
    frequencyPenalty: wire.frequency_penalty ?? undefined,
    logitBias: wire.logit_bias ? toBias(wire.logit_bias) : undefined,
    seed: wire.seed ?? undefined,
  };
}

function toBias(wire: Record<string, number>): ReadonlyMap<number, number> {
  return new Map(
    Object.entries(wire).map(([id, bias]) => [Number(id), bias]),
  );
}
