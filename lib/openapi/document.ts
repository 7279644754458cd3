/** The OpenAPI document of an app: its operations, and what holds for all of them. @module */
import { OpenAPIHono, type RouteConfig } from "@hono/zod-openapi";
import type { Env } from "hono";
import metadata from "../../deno.json" with { type: "json" };
import { operationOf } from "./add_path.ts";
import { type CommonError, errorReference, errorResponses } from "./errors.ts";
import { Components } from "./components.ts";
import { type Operation, TAGS, toRoute } from "./operation.ts";

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

const ABOUT =
  "Chats whose conversations never end. Parameters are those of OpenAI's API, and `everstream`, " +
  "which is ours. One that this server cannot obey is an error that names it, and so is one that " +
  "it does not know. Every answer has an `x-request-id`.";

/** The document of all operations that an app has. */
export function documentOf<E extends Env>(
  app: OpenAPIHono<E>,
  rules: Rules,
): Document {
  const described = new OpenAPIHono();
  const registry = described.openAPIRegistry;
  const components = new Components();
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { method, path } = definition.route;
    const operation = operationOf(definition.route);
    const { responses, ...route } = toRoute(operation, components);
    registry.registerPath({
      method,
      path,
      ...route,
      security: securityOf(path, rules),
      responses: { ...commonErrors(operation, path, rules), ...responses },
    });
  }
  for (const [name, response] of Object.entries(errorResponses(components))) {
    registry.registerComponent("responses", name, response);
  }
  for (const [name, schema] of Object.entries(components.schemas)) {
    registry.registerComponent("schemas", name, schema);
  }
  registry.registerComponent("securitySchemes", "key", {
    type: "http",
    scheme: "bearer",
    description: "A key from this server's operator.",
  });
  return described.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Everstream",
      version: metadata.version,
      description: ABOUT,
    },
    tags: Object.entries(TAGS)
      .map(([name, description]) => ({ name, description })),
  });
}

function securityOf(
  path: string,
  { keyed, open }: Rules,
): NonNullable<RouteConfig["security"]> {
  if (open(path)) return [];
  // A key tells clients apart even where none is asked for.
  return keyed ? [{ key: [] }] : [{ key: [] }, {}];
}

/** What an operation may answer with because of what it takes, or where it is. */
function commonErrors(
  { body, query, headers }: Operation,
  path: string,
  { open, limited }: Rules,
): RouteConfig["responses"] {
  const errors: CommonError[] = [431, 500, 503];
  if (body || query || headers) errors.push(400);
  if (body) errors.push(413);
  if (limited(path)) errors.push(429);
  if (!open(path)) errors.push(401);
  return Object.fromEntries(
    errors.map((status) => [status, errorReference(status)]),
  );
}
