/**
 * `response_format`: what an answer's text must be. `json_object` is any object; unlike OpenAI's, this
 * server does not ask that the messages speak of JSON, because its grammar lets no white space go on
 * for ever, which is what their rule is against. A `json_schema` binds whether or not it is `strict`.
 *
 * @module
 */
import { z } from "zod";
import type { AnswerFormat } from "../chat/chat_model.ts";
import { ANY_OBJECT, jsonGrammar } from "../grammar/json_grammar.ts";
import { SchemaError } from "../grammar/schema_error.ts";

const NAME = "1 to 64 of the characters a-z, A-Z, 0-9, _ and -";

/** A schema, as the grammar of what validates against it. */
const schema = z.unknown().transform((schema, context) => {
  try {
    return jsonGrammar(schema);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    context.addIssue({
      code: "custom",
      path: [...error.path],
      message: error.message,
    });
    return z.NEVER;
  }
}).meta({
  type: ["object", "boolean"],
  description:
    "A JSON Schema that something fits, with keywords that a grammar can be made of.",
});

/** The parameter, as a client sends it. */
export const responseFormatSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: z.string(NAME).regex(/^[a-zA-Z0-9_-]{1,64}$/, NAME),
      description: z.string("a string").nullish(),
      schema,
      strict: z.boolean("true or false").nullish(),
    }, "an object with name and schema"),
  }),
], 'an object whose type is "text", "json_object" or "json_schema"')
  .meta({ id: "ResponseFormat" });

/** What of the parameter the model is told; `undefined` if any text will do. */
export function toAnswerFormat(
  wire: z.infer<typeof responseFormatSchema> | null | undefined,
): AnswerFormat | undefined {
  switch (wire?.type) {
    case "json_object":
      return { grammar: jsonGrammar(ANY_OBJECT) };
    case "json_schema":
      return { grammar: wire.json_schema.schema };
    default:
      return undefined;
  }
}
