/**
 * Zod's schemas as OpenAPI 3.1 has them, which is JSON Schema 2020-12. By zod itself: the converter of
 * `@hono/zod-openapi` 1.6 loses the patterns of a record's keys and all but the first of a literal's
 * values, and has no word for tuples without elements or for `never`.
 *
 * @module
 */
import { z } from "zod";

/** A JSON Schema. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** A schema, and the named ones that it refers to. */
export interface Converted {
  readonly schema: JsonSchema;
  readonly components: Readonly<Record<string, JsonSchema>>;
}

/** What errors say of these kinds is what their type says. */
const SAID_BY_TYPE: ReadonlySet<string> = new Set([
  "a string",
  "true or false",
]);

/**
 * Converts a schema. Those with an `id` in their metadata become components.
 *
 * @param io whether the schema is of what comes in, or of what the schema's transforms make of it
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 * import { toJsonSchema } from "./json_schema.ts";
 *
 * const seat = z.strictObject({ row: z.int().min(1).max(9) }).meta({ id: "Seat" });
 * const { schema, components } = toJsonSchema(z.array(seat));
 * assertEquals(schema, { type: "array", items: { $ref: "#/components/schemas/Seat" } });
 * assertEquals(components.Seat!.additionalProperties, false);
 * ```
 */
export function toJsonSchema(
  schema: z.ZodType,
  io: "input" | "output" = "input",
): Converted {
  const { $schema: _, ...converted } = z.toJSONSchema(schema, {
    io,
    // What only code can check is in the metadata.
    unrepresentable: "any",
    override: describe,
  });
  const text = JSON.stringify(converted)
    .replaceAll('"#/$defs/', '"#/components/schemas/');
  const { $defs = {}, ...rest } = JSON.parse(text);
  return { schema: rest, components: $defs };
}

/**
 * Of a tuple without elements there is nothing to list; and what an error says that a value must be is
 * the value's description, where it has no other.
 */
function describe(
  { zodSchema, jsonSchema }: {
    zodSchema: z.core.$ZodTypes;
    jsonSchema: z.core.JSONSchema.BaseSchema;
  },
): void {
  if (jsonSchema.prefixItems?.length === 0) delete jsonSchema.prefixItems;
  const what = zodSchema._zod.def.error?.({} as never);
  if (typeof what !== "string" || SAID_BY_TYPE.has(what)) return;
  jsonSchema.description ??= `Must be ${what}.`;
}
