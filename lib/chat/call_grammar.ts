/**
 * Grammars of answers that call tools, in the syntax that {@linkcode ToolCallReader} reads, with the
 * line ends that templates write.
 *
 * A tool's arguments follow its schema. As OpenAI documents it, that is a promise only for one that is
 * `strict`: then a schema that no grammar is made of is an error. Of another such tool the arguments are
 * any object.
 *
 * @module
 */
import { choice, literal, type Rules } from "../grammar/ebnf.ts";
import { ANY_OBJECT, grammarOf, jsonRule } from "../grammar/json_grammar.ts";
import { SchemaError, type SchemaPath } from "../grammar/schema_error.ts";
import { TOOL_CALL_END, TOOL_CALL_START } from "./tool_calls.ts";

/** A tool whose arguments are to follow its schema. */
export interface CallableTool {
  readonly name: string;
  /** JSON Schema of its arguments; without it there are none. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  /** Whether no arguments may come but those of the schema. */
  readonly strict: boolean;
  /** Where the request has the schema. */
  readonly path: SchemaPath;
}

/** What an answer may be that calls no tool: text, which may also come around calls, or JSON. */
export type Otherwise = "nothing" | "text" | { readonly schema: unknown };

const NO_ARGUMENTS = { type: "object", properties: {} };

/**
 * The grammar of an answer that calls tools, in XGrammar's EBNF.
 *
 * @param of.otherwise what may come in place of calls
 * @param of.many whether it may call more than once
 * @throws {SchemaError} if no grammar is made of a strict tool's schema, or it would be too large
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { callGrammar } from "./call_grammar.ts";
 *
 * const clock = { name: "clock", strict: false, path: [] };
 * assert(callGrammar([clock], { otherwise: "text", many: true }).includes("clock"));
 * ```
 */
export function callGrammar(
  tools: readonly CallableTool[],
  { otherwise, many }: { otherwise: Otherwise; many: boolean },
): string {
  const start = literal(TOOL_CALL_START);
  return grammarOf((rules) => {
    const body = rules.add(choice(tools.map((tool) => callRule(tool, rules))));
    if (otherwise === "text") {
      return `TagDispatch((${start}, ${body}), loop_after_dispatch=${many})`;
    }
    const call = rules.add(`${start} ${body}`);
    const calls = many
      ? rules.add(`${call} (${literal("\n")} ${call})*`)
      : call;
    if (otherwise === "nothing") return calls;
    const json = jsonRule(otherwise.schema, { rules, path: [] });
    return choice([json, calls]);
  }, ["tools"]);
}

/** What comes behind the start of a tool's call. */
function callRule(tool: CallableTool, rules: Rules): string {
  const name = literal(`\n{"name": ${JSON.stringify(tool.name)}, `);
  return rules.add(
    `${name} ${literal('"arguments": ')} ${argumentsRule(tool, rules)} ${
      literal(`}\n${TOOL_CALL_END}`)
    }`,
  );
}

function argumentsRule(tool: CallableTool, rules: Rules): string {
  const { parameters = NO_ARGUMENTS, strict, path } = tool;
  try {
    if (parameters.type !== "object") {
      throw new SchemaError([...path, "type"], '"object": arguments are one');
    }
    return rules.orUndone(() => jsonRule(parameters, { rules, path }));
  } catch (error) {
    if (strict || !(error instanceof SchemaError)) throw error;
    return jsonRule(ANY_OBJECT, { rules, path });
  }
}
