/** Query strings, checked as bodies are. @module */
import type { z } from "zod";
import { issuesToError } from "./issues.ts";

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
