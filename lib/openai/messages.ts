/** The messages of a request: OpenAI's roles and content parts to ours. @module */
import { z } from "zod";
import type { ChatMessage } from "../chat/chat_model.ts";
import { absent, withRefusals } from "./refusals.ts";
import { toolCallsSchema, toToolCall } from "./tools.ts";

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;

const textPart = z.strictObject({
  type: z.literal(
    "text",
    '"text": this server reads no images, audio or files',
  ),
  text: z.string("a string"),
}, "an object with type and text");

const CONTENT = "a string or a non-empty list of text parts";
const content = z.union([z.string(), z.array(textPart).min(1)], CONTENT);

/** Clients send an earlier answer back as they got it, so its empty fields are welcome. */
const empty = (what: string) =>
  z.union([z.null(), z.array(z.never()).max(0)], `left out: ${what}`)
    .optional();

const message = withRefusals(
  z.strictObject({
    role: z.enum(ROLES, `one of ${ROLES.join(", ")}`),
    content: content.nullish(),
    name: z.string("a string").nullish(),
    tool_call_id: z.string("a string").nullish(),
    tool_calls: toolCallsSchema.nullish(),
    function_call: empty("this server calls no functions"),
    refusal: empty("this server's answers have no refusals"),
    audio: empty("this server has no audio"),
    annotations: empty("this server has no annotations"),
  }, "an object with role and content"),
  [
    {
      name: "tool_calls",
      must: "left out: only an assistant's message has calls",
      where: {
        tool_calls: z.array(z.unknown()).min(1),
        role: z.enum(ROLES).exclude(["assistant"]),
      },
    },
    {
      // What an assistant that calls tools says besides may be nothing.
      name: "content",
      must: CONTENT,
      where: {
        content: absent,
        tool_calls: z.array(z.unknown()).max(0).nullish(),
      },
    },
  ],
).meta({ id: "ChatMessage" });

type WireMessage = z.infer<typeof message>;

/** What `messages` must be. */
export const messagesSchema: z.ZodType<WireMessage[]> = z
  .array(message, "a non-empty list of messages")
  .min(1, "a non-empty list of messages");

/** A wire message as the model takes it; text parts are joined with nothing between. */
export function toChatMessage(
  { role, content, tool_calls: calls, tool_call_id: callId }: WireMessage,
): ChatMessage {
  return {
    role: role === "developer" ? "system" : role,
    content: typeof content === "string"
      ? content
      : (content ?? []).map((part) => part.text).join(""),
    ...(calls && calls.length > 0
      ? {
        toolCalls: calls.map(({ id, function: of }) => toToolCall(id, of)),
      }
      : {}),
    ...(callId == null ? {} : { toolCallId: callId }),
  };
}
