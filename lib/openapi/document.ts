/** The OpenAPI document of an app: its operations, and what holds for all of them. @module */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "hono";
import metadata from "../../deno.json" with { type: "json" };
import { type CommonError, errorReference, errorResponses } from "./errors.ts";
import { TAGS } from "./operation.ts";

/** What holds for requests to a path, whatever its operation. */
export interface Rules {
  /** Whether the server asks for API keys. */
  readonly keyed: boolean;
  /** Whether a path needs no key even then. */
  readonly open: (path: string) => boolean;
  /** Whether requests to a path count for their client's limits. */
  readonly limited: (path: string) => boolean;
}

/** An OpenAPI document. */
export type Document = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;

type Operation = NonNullable<NonNullable<Document["paths"]>[string]["get"]>;

const ABOUT =
  "Chats whose conversations never end. Parameters are those of OpenAI's API, and `everstream`, " +
  "which is ours. One that this server cannot obey is an error that names it, and so is one that " +
  "it does not know. Every answer has an `x-request-id`.";

/** The document of all operations that an app has. */
export function documentOf<E extends Env>(
  app: OpenAPIHono<E>,
  rules: Rules,
): Document {
  const registry = app.openAPIRegistry;
  const { responses, components } = errorResponses();
  for (const [name, schema] of Object.entries(components)) {
    registry.registerComponent("schemas", name, schema);
  }
  for (const [name, response] of Object.entries(responses)) {
    registry.registerComponent("responses", name, response);
  }
  registry.registerComponent("securitySchemes", "key", {
    type: "http",
    scheme: "bearer",
    description: "A key from this server's operator.",
  });
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Everstream",
      version: metadata.version,
      description: ABOUT,
    },
    tags: Object.entries(TAGS)
      .map(([name, description]) => ({ name, description })),
  });
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const operation of Object.values(item)) {
      addRules(operation, path, rules);
    }
  }
  return document;
}

/** Adds to an operation what holds for its path. */
function addRules(
  operation: Operation,
  path: string,
  { keyed, open, limited }: Rules,
): void {
  const errors: CommonError[] = [431, 500, 503];
  const { requestBody, parameters = [] } = operation;
  if (requestBody) errors.push(400, 413);
  if (parameters.some((one) => "in" in one && one.in !== "path")) {
    errors.push(400);
  }
  if (limited(path)) errors.push(429);
  if (open(path)) operation.security = [];
  else {
    // A key tells clients apart even where none is asked for.
    operation.security = keyed ? [{ key: [] }] : [{ key: [] }, {}];
    errors.push(401);
  }
  operation.responses = {
    ...Object.fromEntries(
      errors.map((status) => [status, errorReference(status)]),
    ),
    ...operation.responses,
  };
}
