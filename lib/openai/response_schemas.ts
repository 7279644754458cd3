/** What answers of the Responses and Conversations APIs are, for those who read them. @module */
import { z } from "zod";
import { cacheSchema } from "./answer_schemas.ts";
import type { KnownItem } from "./items.ts";
import { textFormatSchema } from "./response_format.ts";
import { responseToolChoiceSchema, responseToolsSchema } from "./tools.ts";

const count = z.int().min(0);
const seconds = count.describe("Seconds since 1970.");
const metadata = z.record(z.string(), z.string());

const textPart = z.discriminatedUnion("type", [
  z.object({ type: z.literal("input_text"), text: z.string() }),
  z.object({
    type: z.literal("output_text"),
    text: z.string(),
    annotations: z.tuple([]),
    logprobs: z.tuple([]),
  }),
]);

const itemHead = {
  id: z.string(),
  status: z.enum(["completed", "incomplete", "in_progress"]),
};

/** An item as it is kept. */
export const itemSchema = z.discriminatedUnion("type", [
  z.object({
    ...itemHead,
    type: z.literal("message"),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: z.array(textPart),
  }),
  z.object({
    ...itemHead,
    type: z.literal("function_call"),
    call_id: z.string(),
    name: z.string(),
    arguments: z.string().describe("A JSON object, as text."),
  }),
  z.object({
    ...itemHead,
    type: z.literal("function_call_output"),
    call_id: z.string(),
    output: z.union([z.string(), z.array(textPart)]),
  }),
]).meta({ id: "Item" }) satisfies z.ZodType<KnownItem>;

/** A page of items. */
export const itemListSchema = z.object({
  object: z.literal("list"),
  data: z.array(itemSchema),
  first_id: z.string().describe("Empty for a page without items."),
  last_id: z.string(),
  has_more: z.boolean(),
}).meta({ id: "ItemList" });

/** A conversation, without its items. */
export const conversationSchema = z.object({
  id: z.string(),
  object: z.literal("conversation"),
  created_at: seconds,
  metadata,
}).meta({ id: "Conversation" });

/** What is left of an object that was deleted. */
export function deletedSchema(object: "response" | "conversation.deleted") {
  return z.object({
    id: z.string(),
    object: z.literal(object),
    deleted: z.literal(true),
  });
}

/** How many tokens a request would have the model read. */
export const inputTokensSchema = z.object({
  object: z.literal("response.input_tokens"),
  input_tokens: count,
}).meta({ id: "InputTokens" });

const id = z.string();
const nothing = z.null();

/** A response, whole or on its way. */
export const responseSchema = z.object({
  id,
  object: z.literal("response"),
  created_at: seconds,
  status: z.enum([
    "in_progress",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
  ]),
  background: z.boolean(),
  completed_at: seconds.nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.literal("max_output_tokens") })
    .nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: count.nullable(),
  max_tool_calls: nothing,
  model: id,
  output: z.array(itemSchema),
  conversation: z.object({ id }).nullable(),
  previous_response_id: id.nullable(),
  parallel_tool_calls: z.boolean(),
  reasoning: z.object({ effort: nothing, summary: nothing }),
  service_tier: z.literal("default"),
  store: z.boolean(),
  temperature: z.number(),
  text: z.object({ format: textFormatSchema }),
  tool_choice: responseToolChoiceSchema,
  tools: z.array(responseToolsSchema.element),
  top_logprobs: z.literal(0),
  top_p: z.number(),
  truncation: z.enum(["auto", "disabled"]),
  usage: z.object({
    input_tokens: count,
    input_tokens_details: z.object({
      cached_tokens: count.describe("Input tokens that cost nothing."),
      cache_write_tokens: count,
    }),
    output_tokens: count,
    output_tokens_details: z.object({ reasoning_tokens: z.literal(0) }),
    total_tokens: count,
  }).nullable(),
  user: z.string().nullable(),
  metadata,
  access_programs: nothing,
  everstream: z.object({
    resumed: z.enum(["slot", "memory", "snapshot", "replay"]).nullable()
      .describe(
        "Where the conversation's cache was found; `null`: it begins here.",
      ),
    branched: z.boolean().describe(
      "Whether it goes on from a response that others go on from too.",
    ),
    cache: cacheSchema.nullable(),
  }),
}).meta({ id: "Response" });

/** What the data of a stream's event is, beside what is its own. */
export const responseEventSchema = z.looseObject({
  type: z.enum([
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
  ]),
  sequence_number: count.describe("From 0, without gaps."),
  response: responseSchema.optional(),
  item: itemSchema.optional(),
  delta: z.string().optional(),
}).meta({ id: "ResponseEvent" });
