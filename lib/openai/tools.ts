/** OpenAI's tools and tool calls on the wire. @module */
import { z } from "zod";
import type { Tool, ToolCall } from "../chat/chat_model.ts";

const MAX_TOOLS = 128;
const MAX_DEPTH = 32;
const NAME = "1 to 64 letters, digits, _ or -";
const SCHEMA = `a JSON Schema object, nested at most ${MAX_DEPTH} deep`;
const ARGUMENTS =
  `a string with a JSON object, nested at most ${MAX_DEPTH} deep`;

const name = z.string(NAME).regex(/^[a-zA-Z0-9_-]{1,64}$/, NAME);

const tool = z.strictObject({
  type: z.literal("function", '"function"'),
  function: z.strictObject({
    name,
    description: z.string("a string").nullish(),
    parameters: z.record(z.string(), z.unknown(), SCHEMA)
      .refine((schema) => isWithin(schema, MAX_DEPTH), SCHEMA).nullish(),
    strict: z.literal(
      false,
      "left out or false: this server forces no arguments",
    ).nullish(),
  }, "an object with a name"),
}, "an object with type and function").meta({ id: "Tool" });

/** What `tools` must be. */
export const toolsSchema = z
  .array(tool, "a list of tools")
  .max(MAX_TOOLS, `a list of at most ${MAX_TOOLS} tools`);

const call = z.strictObject({
  id: z.string("a string"),
  type: z.literal("function", '"function"'),
  function: z.strictObject({
    name,
    arguments: z.string(ARGUMENTS)
      .refine((text) => readArguments(text) !== null, ARGUMENTS)
      .meta({
        contentMediaType: "application/json",
        contentSchema: { type: "object" },
      }),
  }, "an object with name and arguments"),
}, "an object with id, type and function").meta({ id: "SentToolCall" });

/** What a message's `tool_calls` must be. */
export const toolCallsSchema = z.array(call, "a list of tool calls");

/** A tool as the model takes it. */
export function toTool({ function: of }: z.infer<typeof tool>): Tool {
  return {
    name: of.name,
    description: of.description ?? undefined,
    parameters: of.parameters ?? undefined,
  };
}

/** A call that was checked, as the model takes it. */
export function toToolCall(
  { id, function: { name, arguments: text } }: z.infer<typeof call>,
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
