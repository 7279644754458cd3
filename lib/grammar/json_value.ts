/** JSON values that come as part of a schema, whose size and depth are anybody's. @module */
import { SchemaError, type SchemaPath } from "./schema_error.ts";

/** A JSON object, which a schema is for the most part. */
export type Schema = Readonly<Record<string, unknown>>;

const MAX_VALUE_DEPTH = 32;

/** What a JSON pointer leads to in a schema. */
export function resolve(root: unknown, reference: string): unknown {
  if (reference === "#") return root;
  if (!reference.startsWith("#/")) return undefined;
  return reference.slice(2).split("/").reduce<unknown>((value, part) => {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    return typeof value === "object" && value !== null &&
        Object.hasOwn(value, key)
      ? Reflect.get(value, key)
      : undefined;
  }, root);
}

/** A value as JSON, of bounded depth. */
export function jsonText(value: unknown, path: SchemaPath, depth = 0): string {
  if (depth > MAX_VALUE_DEPTH) {
    throw new SchemaError(
      path,
      `a value nested at most ${MAX_VALUE_DEPTH} deep`,
    );
  }
  const inner = (value: unknown) => jsonText(value, path, depth + 1);
  if (Array.isArray(value)) return `[${value.map(inner).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const pairs = Object.entries(value)
    .map(([key, value]) => `${JSON.stringify(key)}:${inner(value)}`);
  return `{${pairs.join(",")}}`;
}

/** Whether a value is of one of JSON Schema's types. */
export function isOfType(value: unknown, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  const known: string = typeof value;
  return known === type;
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
