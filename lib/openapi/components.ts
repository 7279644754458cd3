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

/** What errors say of these kinds is what their type says. */
const SAID_BY_TYPE: ReadonlySet<string> = new Set([
  "a string",
  "true or false",
]);

/**
 * The schemas of a document. Those with an `id` in their metadata have a place of their own, to which
 * the others refer.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 * import { Components } from "./components.ts";
 *
 * const seat = z.strictObject({ row: z.int().min(1).max(9) }).meta({ id: "Seat" });
 * const components = new Components();
 * assertEquals(components.convert(z.array(seat)), {
 *   type: "array",
 *   items: { $ref: "#/components/schemas/Seat" },
 * });
 * assertEquals(components.schemas.Seat!.additionalProperties, false);
 * ```
 */
export class Components {
  readonly #schemas: Record<string, JsonSchema> = {};

  /** All that were met so far, by their names. */
  get schemas(): Readonly<Record<string, JsonSchema>> {
    return this.#schemas;
  }

  /**
   * Converts a schema.
   *
   * @param io whether what is meant is what comes in, or what the schema's transforms make of it
   */
  convert(schema: z.ZodType, io: "input" | "output" = "input"): JsonSchema {
    const { $schema: _, ...converted } = z.toJSONSchema(schema, {
      io,
      // What only code can check is in the metadata.
      unrepresentable: "any",
      override: describe,
    });
    const text = JSON.stringify(converted)
      .replaceAll('"#/$defs/', '"#/components/schemas/');
    const { $defs = {}, ...rest } = JSON.parse(text);
    Object.assign(this.#schemas, $defs);
    return rest;
  }
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
