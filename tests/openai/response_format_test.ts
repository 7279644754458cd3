import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseChatRequest } from "../../lib/openai/chat_request.ts";
import { ApiError } from "../../lib/openai/errors.ts";

const messages = [{ role: "user", content: "Hi" }];

function formatOf(response_format: unknown) {
  return parseChatRequest({ messages, response_format }).generation.format;
}

function withSchema(schema: unknown, changes: Record<string, unknown> = {}) {
  return {
    type: "json_schema",
    json_schema: { name: "n", schema, ...changes },
  };
}

Deno.test("text asks for nothing; an object and a schema for their grammars", () => {
  assertEquals(formatOf({ type: "text" }), undefined);
  assertEquals(formatOf(null), undefined);
  const object = formatOf({ type: "json_object" })!.grammar;
  assert(object.startsWith("root ::= "));
  assertEquals(formatOf(withSchema({ type: "object" }))!.grammar, object);
  const strict = { strict: true, description: "A truth." };
  const boolean = formatOf(withSchema({ type: "boolean" }, strict))!.grammar;
  assert(boolean.includes('"true"') && boolean !== object);
});

const SCHEMA = "response_format.json_schema.schema";
const REFUSED: [format: unknown, param: string, code: string][] = [
  [{ type: "xml" }, "response_format.type", "invalid_value"],
  ["json", "response_format", "invalid_type"],
  [
    { type: "json_object", schema: {} },
    "response_format.schema",
    "unknown_parameter",
  ],
  [
    { type: "json_schema" },
    "response_format.json_schema",
    "missing_required_parameter",
  ],
  [
    withSchema({}, { name: "a b" }),
    "response_format.json_schema.name",
    "invalid_value",
  ],
  [
    withSchema({}, { strict: 1 }),
    "response_format.json_schema.strict",
    "invalid_type",
  ],
  [withSchema(undefined), SCHEMA, "missing_required_parameter"],
  [withSchema(7), SCHEMA, "invalid_value"],
  [
    withSchema({
      type: "object",
      properties: { a: { type: "string", maxLength: -1 } },
    }),
    `${SCHEMA}.properties.a.maxLength`,
    "invalid_value",
  ],
  [
    withSchema({ anyOf: [true, { not: {} }] }),
    `${SCHEMA}.anyOf[1].not`,
    "invalid_value",
  ],
];

for (const [format, param, code] of REFUSED) {
  Deno.test(`refused with ${code} at ${param}: ${JSON.stringify(format)}`, () => {
    const error = assertThrows(() => formatOf(format), ApiError) as ApiError;
    assertEquals(error.status, 400);
    const details = error.body.error;
    assertEquals([details.param, details.code], [param, code]);
    assert(
      details.message.startsWith(`'${param}' must be `) ||
        code === "unknown_parameter",
      details.message,
    );
  });
}
