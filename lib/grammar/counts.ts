/** Keywords that count: items, characters. @module */
import type { Schema } from "./json_value.ts";
import { SchemaError, type SchemaPath } from "./schema_error.ts";

/** Most that a keyword may count. Each character that is counted takes tens of milliseconds to compile. */
const MAX_COUNTS = { Items: 1_024, Length: 64 };

/**
 * The least and the most that a schema's keywords count; 0 and Infinity without them.
 *
 * @throws {SchemaError} if one is no count, or more than a grammar can have, or nothing lies between them
 */
export function counts(
  schema: Schema,
  what: "Items" | "Length",
  path: SchemaPath,
): { min: number; max: number } {
  const [min, max] = ["min", "max"].map((end) => {
    const value = schema[end + what];
    if (value === undefined) return undefined;
    const fits = Number.isInteger(value) && value as number >= 0 &&
      value as number <= MAX_COUNTS[what];
    if (fits) return value as number;
    throw new SchemaError(
      [...path, end + what],
      `an integer from 0 to ${MAX_COUNTS[what]}`,
    );
  });
  if ((min ?? 0) > (max ?? Infinity)) {
    throw new SchemaError([...path, `max${what}`], `at least 'min${what}'`);
  }
  return { min: min ?? 0, max: max ?? Infinity };
}
