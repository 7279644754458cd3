/**
 * Messages and tools as chat templates take them: in OpenAI's shapes, but with a call's arguments as
 * an object, as Hugging Face's `apply_chat_template` documents it.
 *
 * @module
 */
import type { ChatMessage, Tool, ToolCall } from "./chat_model.ts";

/** A message as a template takes it; what it does not have is left out, for templates ask for that. */
export function jinjaMessage(
  { role, content, toolCalls, toolCallId }: ChatMessage,
): Record<string, unknown> {
  return {
    role,
    content,
    ...(toolCalls ? { tool_calls: toolCalls.map(jinjaCall) } : {}),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
  };
}

function jinjaCall({ id, name, arguments: args }: ToolCall) {
  return { id, type: "function", function: { name, arguments: args } };
}

/** A tool as a template takes it. */
export function jinjaTool(
  { name, description = "", parameters }: Tool,
): Record<string, unknown> {
  return {
    type: "function",
    function: {
      name,
      description,
      parameters: parameters ?? { type: "object", properties: {} },
    },
  };
}

/**
 * Strings that templates may compare, by the property that holds them; those of `key` are properties'
 * names. None of them has a character that a control token could not do without.
 */
export const WIRE_WORDS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["role", new Set(["system", "user", "assistant", "tool"])],
  [
    "type",
    new Set([
      "function",
      "object",
      "array",
      "string",
      "number",
      "integer",
      "boolean",
      "null",
    ]),
  ],
  [
    "key",
    new Set([
      "messages",
      "tools",
      "role",
      "content",
      "tool_calls",
      "tool_call_id",
      "id",
      "type",
      "function",
      "name",
      "description",
      "arguments",
      "parameters",
      "properties",
      "required",
      "items",
      "enum",
      "anyOf",
      "additionalProperties",
    ]),
  ],
]);
