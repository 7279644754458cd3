/** Query strings, checked as bodies are. @module */
import { z } from "zod";
import { issuesToError } from "./issues.ts";

/** A whole number within bounds, of at most 15 digits. */
export function whole(
  min: number,
  max: number,
  what = `a whole number from ${min} to ${max}`,
) {
  return z.string().regex(/^[0-9]{1,15}$/, what).transform(Number)
    .pipe(z.number().int().min(min, what).max(max, what));
}

/** @throws {ApiError} a 400 that names the parameter at fault */
export function parseQuery<Output>(
  schema: z.ZodType<Output>,
  query: Record<string, string>,
): Output {
  const result = schema.safeParse(query);
  if (result.success) return result.data;
  throw issuesToError(result.error.issues, {
    body: query,
    unsupported: new Set(),
  });
}
