/** JSON that fits a schema nearly always, and JSON that is anything. @module */
import fc from "fast-check";
import { type Json, resolved } from "../openapi/described.ts";

/** In text: where the id of something goes that only the server can name. */
export const ID = "{id}";

/** Text that has made programs stumble. */
export const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.constantFrom(
    "",
    ID,
    "__proto__",
    "constructor",
    "\u0000",
    "\ud800",
    "<|im_end|>",
    "<tool_call>\n{}\n</tool_call>",
    "default",
    "scripted",
    "null",
    "x".repeat(300),
  ),
);

/** Numbers likewise. */
export const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, 1, -1, 1e308, 2 ** 53, 0.1, 5e-324),
);

/** Any JSON. */
export const anything: fc.Arbitrary<Json> = fc.oneof(
  { depthSize: "small" },
  fc.constantFrom(null, true, false, [], {}),
  number,
  text,
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values of a schema; now and then, somewhere in them, anything else. */
export function fitting(
  schema: Json,
  document: Json,
  depth = 0,
): fc.Arbitrary<Json> {
  const exact = exactly(schema, document, depth);
  return fc.oneof(
    { weight: 25, arbitrary: exact },
    { weight: 1, arbitrary: anything },
  );
}

function exactly(
  schema: Json,
  document: Json,
  depth: number,
): fc.Arbitrary<Json> {
  const inner = (schema: Json) => fitting(schema, document, depth + 1);
  if (depth > 12) return anything;
  if (schema.$ref) {
    return inner(resolved(schema.$ref, document));
  }
  if ("const" in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return fc.oneof(...branches.map(inner));
  const types = [schema.type].flat();
  return fc.oneof(...types.map((type: string) => {
    switch (type) {
      case "object":
        return object(schema, inner);
      case "array":
        return fc.array(inner(schema.items ?? {}), {
          minLength: schema.minItems ?? 0,
          maxLength: Math.min(schema.maxItems ?? 3, 3),
        });
      case "string":
        return schema.contentMediaType ? fc.json({ maxDepth: 2 }) : text;
      case "integer":
      case "number":
        return fc.oneof(
          number,
          fc.integer({ min: Math.ceil(schema.minimum ?? 0), max: 100 }),
        );
      case "boolean":
        return fc.boolean();
      case "null":
        return fc.constant(null);
      default:
        return anything;
    }
  }));
}

function object(
  { properties = {}, required = [], additionalProperties }: Json,
  inner: (schema: Json) => fc.Arbitrary<Json>,
): fc.Arbitrary<Json> {
  const known = fc.record(
    Object.fromEntries(
      Object.entries(properties).map(([name, of]) => [name, inner(of)]),
    ),
    { requiredKeys: required },
  );
  if (typeof additionalProperties !== "object") return known;
  const others = fc.dictionary(
    fc.oneof(text, fc.nat(300).map(String)),
    inner(additionalProperties),
    { maxKeys: 3 },
  );
  return fc.tuple(known, others).map(([a, b]) => ({ ...a, ...b }));
}
