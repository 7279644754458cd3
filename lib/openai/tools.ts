/** OpenAI's tools and tool calls on the wire. @module */
import { z } from "zod";
import type { Tool, ToolCall } from "../chat/chat_model.ts";
import { boolean } from "./fields.ts";

const MAX_TOOLS = 128;
const MAX_DEPTH = 32;
const NAME = "1 to 64 letters, digits, _ or -";
const SCHEMA = `a JSON Schema object, nested at most ${MAX_DEPTH} deep`;
const ARGUMENTS =
  `a string with a JSON object, nested at most ${MAX_DEPTH} deep`;

const name = z.string(NAME).regex(/^[a-zA-Z0-9_-]{1,64}$/, NAME);

const TYPE = '"function": this server runs no tools of its own';

const definition = {
  name,
  description: z.string("a string").nullish(),
  parameters: z.record(z.string(), z.unknown(), SCHEMA)
    .refine((schema) => isWithin(schema, MAX_DEPTH), SCHEMA).nullish(),
  strict: boolean,
};

const chatTool = z.strictObject({
  type: z.literal("function", TYPE),
  function: z.strictObject(definition, "an object with a name"),
}, "an object with type and function").meta({ id: "ChatTool" });

/** What `tools` must be in chats. */
export const toolsSchema = z
  .array(chatTool, "a list of tools")
  .max(MAX_TOOLS, `a list of at most ${MAX_TOOLS} tools`);

const responseTool = z.strictObject({
  type: z.literal("function", TYPE),
  ...definition,
}, "an object with type and name").meta({ id: "ResponseTool" });

/** What `tools` must be in requests of responses. */
export const responseToolsSchema = z
  .array(responseTool, "a list of tools")
  .max(MAX_TOOLS, `a list of at most ${MAX_TOOLS} tools`);

const CHOICES = ["none", "auto", "required"] as const;
const CHOICE = `one of ${CHOICES.join(", ")}, or a function by its name`;
const choices = z.enum(CHOICES);

/** What `tool_choice` must be in chats. */
export const toolChoiceSchema = z.union([
  choices,
  z.strictObject({
    type: z.literal("function", TYPE),
    function: z.strictObject({ name }, "an object with a name"),
  }),
], CHOICE);

/** What `tool_choice` must be in requests of responses. */
export const responseToolChoiceSchema = z.union([
  choices,
  z.strictObject({ type: z.literal("function", TYPE), name }),
], CHOICE);

/** What a call has: a tool's name, and arguments. */
export const callFields = {
  name,
  arguments: z.string(ARGUMENTS)
    .refine((text) => readArguments(text) !== null, ARGUMENTS)
    .meta({
      contentMediaType: "application/json",
      contentSchema: { type: "object" },
    }),
};

const call = z.strictObject({
  id: z.string("a string"),
  type: z.literal("function", '"function"'),
  function: z.strictObject(callFields, "an object with name and arguments"),
}, "an object with id, type and function").meta({ id: "SentToolCall" });

/** What a message's `tool_calls` must be. */
export const toolCallsSchema = z.array(call, "a list of tool calls");

/** A tool as the model takes it. */
export function toTool(
  { name, description, parameters }: Omit<
    z.infer<typeof responseTool>,
    "type"
  >,
): Tool {
  return {
    name,
    description: description ?? undefined,
    parameters: parameters ?? undefined,
  };
}

/** A tool as responses show it. */
export function wireTool(
  { description = null, parameters = null, strict, ...tool }: z.infer<
    typeof responseTool
  >,
) {
  return { ...tool, description, parameters, strict: strict ?? false };
}

/** A call that was checked, as the model takes it. */
export function toToolCall(
  id: string,
  { name, arguments: text }: { name: string; arguments: string },
): ToolCall {
  return { id, name, arguments: readArguments(text) ?? {} };
}

/** A call for the wire. */
export function wireToolCall({ id, name, arguments: args }: ToolCall) {
  return {
    id,
    type: "function" as const,
    function: { name, arguments: JSON.stringify(args) },
  };
}

function readArguments(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    const fits = typeof value === "object" && value !== null &&
      !Array.isArray(value) && isWithin(value, MAX_DEPTH);
    return fits ? value as Record<string, unknown> : null;
  } catch {
    return null;
  }
}

/** Whether a value nests at most so deep: templates and threads walk it recursively. */
function isWithin(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 &&
    Object.values(value).every((entry) => isWithin(entry, depth - 1));
}
