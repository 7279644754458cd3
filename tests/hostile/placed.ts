/** Values of a schema that have a given text in one place: for each place that may have it. @module */
import { type Json, resolved } from "../openapi/described.ts";

/** How deep schemas are followed: none of ours is deeper. */
const DEPTH = 16;

/** A schema, and what its references are resolved in. */
export interface Placing {
  readonly schema: Json;
  readonly document: Json;
  readonly depth?: number;
}

/** A value that fits, with as little in it as may be. */
export function least({ schema, document, depth = 0 }: Placing): Json {
  const inner = (schema: Json) => least({ schema, document, depth: depth + 1 });
  if (depth > DEPTH) return null;
  if (schema.$ref) return inner(resolved(schema.$ref, document));
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum.find((one: Json) => one !== null) ?? null;
  const branch = (schema.anyOf ?? schema.oneOf)?.[0];
  if (branch) return inner(branch);
  switch ([schema.type].flat()[0]) {
    case "object":
      return Object.fromEntries(
        (schema.required ?? []).map((name: string) => [
          name,
          inner(schema.properties[name]),
        ]),
      );
    case "array":
      return Array.from(
        { length: schema.minItems ?? 0 },
        () => inner(schema.items),
      );
    case "string":
      return schema.contentMediaType ? "{}" : "x";
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "boolean":
      return false;
    default:
      return null;
  }
}

/** All of them. */
export function* placed(
  text: string,
  { schema, document, depth = 0 }: Placing,
): Generator<Json> {
  const inner = (schema: Json) =>
    placed(text, { schema, document, depth: depth + 1 });
  if (depth > DEPTH || "const" in schema || schema.enum) return;
  if (schema.$ref) return yield* inner(resolved(schema.$ref, document));
  for (const branch of schema.anyOf ?? schema.oneOf ?? []) yield* inner(branch);
  const types = [schema.type].flat();
  if (types.includes("string") && !schema.contentMediaType) yield text;
  if (types.includes("array") && schema.items) {
    for (const item of inner(schema.items)) yield [item];
  }
  if (!types.includes("object")) return;
  const rest = least({ schema, document, depth });
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    for (const value of inner(property)) yield { ...rest, [name]: value };
  }
  if (typeof schema.additionalProperties === "object") {
    for (const value of inner(schema.additionalProperties)) {
      yield { ...rest, x: value };
    }
  }
}
