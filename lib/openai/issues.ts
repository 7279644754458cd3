/**
 * From zod's issues to OpenAI's errors. A schema's messages here are not sentences but what a value
 * must be ("a number from 0 to 2"); the sentence is made in one place, with the value that was sent.
 *
 * @module
 */
import type { z } from "zod";
import { type ApiError, invalidRequest } from "./errors.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * A request's body as a schema makes it.
 *
 * @param unsupported OpenAI's parameters that this server knows and cannot serve
 * @throws {ApiError} a 400 that names the parameter at fault
 */
export function checkBody<T>(
  schema: z.ZodType<T>,
  body: unknown,
  unsupported: ReadonlySet<string> = new Set(),
): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw issuesToError(result.error.issues, { body, unsupported });
}

/**
 * The error for the first issue of a request's body.
 *
 * @param unsupported OpenAI's parameters that this server knows and cannot serve
 */
export function issuesToError(
  issues: readonly Issue[],
  { body, unsupported }: { body: unknown; unsupported: ReadonlySet<string> },
): ApiError {
  const { issue, path: full } = innermost(issues[0]!, []);
  const refused = unsupported.has(String(full[0]));
  // Of what this server cannot do, the parameter as a whole is at fault.
  const path = refused ? full.slice(0, 1) : full;
  if (issue.code === "unrecognized_keys" && !refused) {
    return unknownParameter([...path, issue.keys[0]!]);
  }
  const value = valueAt(body, path);
  const param = pathText(path);
  const code = refused ? "unsupported_parameter" : codeOf(issue, value);
  if (path.length === 0) {
    return invalidRequest(
      `The request's body must be ${issue.message}; it is ${show(value)}.`,
      { code },
    );
  }
  return invalidRequest(
    `'${param}' must be ${issue.message}; the request has ${
      value === undefined ? "none" : show(value)
    }. ${adviceFor(code, path)}`,
    { param, code },
  );
}

/** Makes the error of a parameter that must be something else. */
export type Refuse = (path: Path, message: string) => ApiError;

/** Refuses what is wrong with a body by more than its parameters alone. */
export function refusing(body: unknown): Refuse {
  return (path, message) =>
    issuesToError(
      [{ code: "custom", path: [...path], message, input: body }],
      { body, unsupported: new Set() },
    );
}

/** An unfit union reports each branch: the one that got deepest is the one that was meant. */
function innermost(issue: Issue, base: Path): { issue: Issue; path: Path } {
  const path = [...base, ...issue.path];
  if (issue.code !== "invalid_union") return { issue, path };
  const branches = issue.errors
    .flatMap((branch) => branch.slice(0, 1))
    .map((first) => innermost(first, path))
    .filter((found) => found.path.length > path.length);
  return branches[0] ?? { issue, path };
}

function unknownParameter(path: Path): ApiError {
  const param = pathText(path);
  return invalidRequest(
    `This server does not know the parameter '${param}'. Remove it.`,
    { param, code: "unknown_parameter" },
  );
}

function codeOf(issue: Issue, value: unknown): string {
  if (value === undefined) return "missing_required_parameter";
  return issue.code === "invalid_type" ? "invalid_type" : "invalid_value";
}

function adviceFor(code: string, path: Path): string {
  if (code === "unsupported_parameter") return "Remove it.";
  if (code === "missing_required_parameter") return "Add it.";
  return path[0] === "messages" ? "Correct it." : "Correct it or leave it out.";
}

function valueAt(body: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? Reflect.get(value, key)
        : undefined,
    body,
  );
}

/** `["messages", 0, "role"]` as `messages[0].role`. */
function pathText(path: Path): string {
  return path.map((key, i) =>
    typeof key === "number" ? `[${key}]` : `${i === 0 ? "" : "."}${String(key)}`
  ).join("");
}

/**
 * A value much like JSON, cut in length and depth: an error never echoes a whole conversation, and
 * a value that nests a million deep costs nothing.
 */
function show(value: unknown, depth = 2): string {
  if (typeof value === "string") return JSON.stringify(cut(value));
  if (typeof value !== "object" || value === null) return String(value);
  if (depth === 0) return "…";
  const inner = (item: unknown) => show(item, depth - 1);
  const items = Array.isArray(value)
    ? value.slice(0, 4).map(inner)
    : Object.entries(value).slice(0, 4).map(([key, item]) =>
      `${JSON.stringify(cut(key))}:${inner(item)}`
    );
  if (items.length > 3) items[3] = "…";
  return Array.isArray(value) ? `[${items.join()}]` : `{${items.join()}}`;
}

function cut(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}
