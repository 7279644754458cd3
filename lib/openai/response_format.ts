/**
 * `response_format`, or a response's `text.format`: what an answer's text must be. `json_object` is any
 * object; unlike OpenAI's, this server does not ask that the messages speak of JSON, because its grammar
 * lets no white space go on for ever, which is what their rule is against. A `json_schema` binds whether
 * or not it is `strict`.
 *
 * @module
 */
import { z } from "zod";
import type { AnswerFormat } from "../chat/chat_model.ts";
import { ANY_OBJECT, jsonGrammar } from "../grammar/json_grammar.ts";
import { SchemaError } from "../grammar/schema_error.ts";

const NAME = "1 to 64 of the characters a-z, A-Z, 0-9, _ and -";

/** A format that is asked for. */
export interface AskedFormat extends AnswerFormat {
  /** JSON Schema of the answer. */
  readonly schema: unknown;
}

/** A schema, with the grammar of what validates against it. */
const schema = z.unknown().transform((schema, context) => {
  try {
    return { schema, grammar: jsonGrammar(schema) };
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

const text = z.strictObject({ type: z.literal("text") });
const object = z.strictObject({ type: z.literal("json_object") });
const jsonSchema = {
  name: z.string(NAME).regex(/^[a-zA-Z0-9_-]{1,64}$/, NAME),
  description: z.string("a string").nullish(),
  schema,
  strict: z.boolean("true or false").nullish(),
};
const FORMAT = 'an object whose type is "text", "json_object" or "json_schema"';

/** The parameter of chats, as a client sends it. */
export const responseFormatSchema = z.discriminatedUnion("type", [
  text,
  object,
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject(jsonSchema, "an object with name and schema"),
  }),
], FORMAT).meta({ id: "ResponseFormat" });

/** The format of a response's text, as a client sends it. */
export const textFormatSchema = z.discriminatedUnion("type", [
  text,
  object,
  z.strictObject({ type: z.literal("json_schema"), ...jsonSchema }),
], FORMAT).meta({ id: "TextFormat" });

/** What `response_format` asks for; `undefined` if any text will do. */
export function askedFormat(
  wire: z.infer<typeof responseFormatSchema> | null | undefined,
): AskedFormat | undefined {
  const param = "response_format";
  return wire?.type === "json_schema"
    ? { ...wire.json_schema.schema, param }
    : objectFormat(wire, param);
}

/** What `text.format` asks for; `undefined` if any text will do. */
export function askedTextFormat(
  wire: z.infer<typeof textFormatSchema> | undefined,
): AskedFormat | undefined {
  const param = "text.format";
  return wire?.type === "json_schema"
    ? { ...wire.schema, param }
    : objectFormat(wire, param);
}

function objectFormat(
  wire: { type: "text" | "json_object" } | null | undefined,
  param: string,
): AskedFormat | undefined {
  return wire?.type === "json_object"
    ? { schema: ANY_OBJECT, grammar: jsonGrammar(ANY_OBJECT), param }
    : undefined;
}

/** What of a format the model is told. */
export function toAnswerFormat({ grammar, param }: AskedFormat): AnswerFormat {
  return { grammar, param };
}

/** A format as responses show it: as it was sent. */
export function wireTextFormat(
  wire: z.infer<typeof textFormatSchema> | undefined,
) {
  if (wire?.type !== "json_schema") return wire ?? { type: "text" };
  const { type, name, description, schema, strict = null } = wire;
  return {
    type,
    name,
    ...(description == null ? {} : { description }),
    schema: schema.schema,
    strict,
  };
}
