/** Strings as grammar: any, of a counted length, or by a pattern. @module */
import { counts } from "./counts.ts";
import { repeat, type Rules } from "./ebnf.ts";
import { FORMATS } from "./formats.ts";
import { CHARACTER, COUNTED_CHARACTER } from "./json_text.ts";
import type { Schema } from "./json_value.ts";
import { patternGrammar } from "./pattern_grammar.ts";
import { SchemaError, type SchemaPath } from "./schema_error.ts";

/**
 * A string that fits a schema of that type.
 *
 * @throws {SchemaError} if its keywords are wrong, or no grammar is made of them together
 */
export function stringBody(
  schema: Schema,
  path: SchemaPath,
  rules: Rules,
): string {
  const { min, max } = counts(schema, "Length", path);
  const counted = ["minLength", "maxLength"].find((key) => key in schema);
  const form = ["pattern", "format"].find((key) => key in schema);
  if (form === undefined) {
    const character = counted === undefined
      ? rules.add(CHARACTER)
      : COUNTED_CHARACTER;
    return rules.add(`"\\"" ${repeat(character, { min, max })} "\\""`);
  }
  if (counted !== undefined || "pattern" in schema && "format" in schema) {
    const beside = counted ?? "format";
    throw new SchemaError([...path, beside], `left out beside '${form}'`);
  }
  const at = [...path, form];
  const pattern = form === "format"
    ? patternOf(schema.format, at)
    : schema.pattern;
  const body = patternBody(pattern, at, rules);
  return rules.add(`"\\"" ${body} "\\""`);
}

function patternBody(
  pattern: unknown,
  path: SchemaPath,
  rules: Rules,
): string {
  if (typeof pattern !== "string") throw new SchemaError(path, "a string");
  try {
    return patternGrammar(pattern, rules);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new SchemaError(
      path,
      `a pattern that a grammar can be made of, without ${error.message}`,
    );
  }
}

function patternOf(format: unknown, path: SchemaPath): string {
  if (typeof format === "string" && Object.hasOwn(FORMATS, format)) {
    return FORMATS[format]!;
  }
  throw new SchemaError(path, `one of ${Object.keys(FORMATS).join(", ")}`);
}
