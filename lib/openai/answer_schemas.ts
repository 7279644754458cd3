/** What answers of the endpoints that generate are, for those who read them. @module */
import { z } from "zod";
import { KV_BITS } from "../cache/cache_format.ts";
import { EVICTIONS, POLICY_NAMES } from "../cache/policy.ts";
import type { WireCache, WireUsage } from "./completion.ts";

const count = z.int().min(0);

/** The state of a conversation's cache. */
export const cacheSchema = z.object({
  policy: z.enum(POLICY_NAMES).describe("What the cache keeps."),
  evict: z.enum(EVICTIONS).describe("What leaves it first."),
  kv_bits: z.literal(KV_BITS).describe("Bits of an element of its rows."),
  held: count.describe("Tokens that the model sees now."),
  seen: count.describe("Tokens ever appended."),
  evicted: count.describe("Tokens that have left the cache."),
  capacity: count.describe("Most tokens that the cache can hold."),
  sinks: count.describe("The first tokens among them, kept for ever."),
  horizon: z.object({
    position: count.describe(
      "Position of the oldest token that the window holds.",
    ),
    messages: z.object({
      whole: count.describe("How many can be seen whole."),
      partial: z.array(count)
        .describe("Numbers of those that can be seen in part."),
      gone: z.object({ from: count, to: count })
        .describe("Those that cannot be seen: from `from` up to before `to`."),
    }),
  }).describe(
    "What the model can still see. Messages are counted as the chat template renders them, from 0.",
  ),
  lazy_layers: z.array(count)
    .describe("Layers that keep fewer tokens than that."),
  bytes: count.describe("Bytes that the cache holds, from start to end."),
  full_bytes: count
    .describe("Bytes that a cache of all tokens seen would take."),
}).meta({ id: "Cache" }) satisfies z.ZodType<WireCache>;

const usageSchema = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({
    cached_tokens: count.describe("Prompt tokens that cost nothing."),
  }),
  everstream: cacheSchema,
}).meta({ id: "Usage" }) satisfies z.ZodType<WireUsage>;

const finishReason = z.enum(["stop", "length", "tool_calls"]);

const head = {
  id: z.string(),
  created: count.describe("Seconds since 1970."),
  model: z.string(),
};

const tokenLogprob = {
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)),
};

const logprobs = z.object({
  content: z.array(z.object({
    ...tokenLogprob,
    top_logprobs: z.array(z.object(tokenLogprob)),
  })),
  refusal: z.null(),
}).meta({ id: "ChatLogprobs" });

const toolCall = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({
    name: z.string(),
    arguments: z.string().describe("A JSON object, as text."),
  }),
}).meta({ id: "ToolCall" });

/** What answers a chat. */
export const chatCompletionSchema = z.object({
  ...head,
  object: z.literal("chat.completion"),
  choices: z.array(z.object({
    index: count,
    message: z.object({
      role: z.literal("assistant"),
      content: z.string().nullable(),
      refusal: z.null(),
      tool_calls: z.array(toolCall).optional(),
    }),
    logprobs: logprobs.nullable(),
    finish_reason: finishReason,
  })),
  usage: usageSchema,
}).meta({ id: "ChatCompletion" });

/** What the data of a stream's event is. */
export const chatChunkSchema = z.object({
  ...head,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(z.object({
    index: count,
    delta: z.object({
      role: z.literal("assistant").optional(),
      content: z.string().optional(),
      tool_calls: z.array(toolCall.extend({ index: count })).optional(),
    }),
    logprobs: logprobs.nullable(),
    finish_reason: finishReason.nullable(),
  })),
  usage: usageSchema.nullable().optional(),
  everstream: cacheSchema.optional(),
}).meta({ id: "ChatCompletionChunk" });

const textChoice = {
  index: count,
  text: z.string(),
  logprobs: z.object({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number()),
    top_logprobs: z.array(z.record(z.string(), z.number())),
    text_offset: z.array(count),
  }).nullable(),
};

/** What answers a prompt. */
export const textCompletionSchema = z.object({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.object({ ...textChoice, finish_reason: finishReason })),
  usage: usageSchema,
}).meta({ id: "Completion" });

/** What the data of a stream's event is. */
export const textChunkSchema = z.object({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(
    z.object({ ...textChoice, finish_reason: finishReason.nullable() }),
  ),
  usage: usageSchema.nullable().optional(),
  everstream: cacheSchema.optional(),
}).meta({ id: "CompletionChunk" });
