/**
 * Which of its tools an answer may call, or must: `tools`, `tool_choice` and `parallel_tool_calls`
 * together, and the format of an answer that calls none. What must be called, or with arguments of a
 * strict tool's schema, is so by the grammar of the answer.
 *
 * @module
 */
import { z } from "zod";
import { type CallableTool, callGrammar } from "../chat/call_grammar.ts";
import type { GenerationRequest, Tool } from "../chat/chat_model.ts";
import { TOOL_CALL_END } from "../chat/tool_calls.ts";
import { SchemaError, type SchemaPath } from "../grammar/schema_error.ts";
import type { Refuse } from "./issues.ts";
import type { Refusal } from "./refusals.ts";
import { type AskedFormat, toAnswerFormat } from "./response_format.ts";

/** What is asked, whatever the request's shape. */
export interface CallsAsked {
  readonly tools: readonly AskedTool[];
  readonly choice: "none" | "auto" | "required" | {
    readonly name: string;
    /** Where the request has the name. */
    readonly path: SchemaPath;
  };
  /** Whether an answer may call more than once. */
  readonly parallel: boolean;
  /** What an answer without calls must be. */
  readonly format: AskedFormat | undefined;
}

/** A tool, and how its arguments are bound. */
export type AskedTool = Tool & CallableTool;

/** What the model is told of it. */
export interface Calls extends Pick<GenerationRequest, "stop" | "format"> {
  /** Those that the answer may call; none if it is not to. */
  readonly tools: Tool[];
}

/** What must be called has to be there. */
export const NEEDS_TOOLS: Refusal = {
  name: "tool_choice",
  must: `left out, "none" or "auto" without 'tools'`,
  where: {
    tool_choice: z.union([z.literal("required"), z.looseObject({})]),
    tools: z.array(z.unknown()).max(0).nullish(),
  },
};

/**
 * What of a request about calls the model is told.
 *
 * @throws {ApiError} a 400 that names the parameter at fault
 */
export function toCalls(asked: CallsAsked, refuse: Refuse): Calls {
  const { tools, choice, format, parallel } = asked;
  checkChoice(asked, refuse);
  if (choice === "none" || tools.length === 0) {
    return { tools: [], stop: [], format: format && toAnswerFormat(format) };
  }
  const grammar = grammarOf(asked, refuse);
  return {
    tools: tools.map(({ name, description, parameters }) => ({
      name,
      description,
      parameters,
    })),
    // A call that only lacks its end is one; a grammar lets no second one come.
    stop: parallel || grammar !== null ? [] : [TOOL_CALL_END],
    format: grammar === null ? undefined : { grammar, param: "tools" },
  };
}

function checkChoice({ tools, choice }: CallsAsked, refuse: Refuse): void {
  if (choice === "none" || choice === "auto") return;
  if (choice === "required") return;
  if (tools.some(({ name }) => name === choice.name)) return;
  throw refuse(choice.path, "the name of one of 'tools'");
}

/** `null` if the answer is free. */
function grammarOf(asked: CallsAsked, refuse: Refuse): string | null {
  const { tools, choice, format, parallel } = asked;
  const otherwise = choice !== "auto" ? "nothing" : format ?? "text";
  if (otherwise === "text" && !tools.some(({ strict }) => strict)) return null;
  const callable = typeof choice === "string"
    ? tools
    : tools.filter(({ name }) => name === choice.name);
  try {
    return callGrammar(callable, { otherwise, many: parallel });
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw refuse(error.path, error.message);
  }
}
