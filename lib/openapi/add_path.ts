/** A path's operations, each declared once: what it does beside what a client may read of it. @module */
import type { OpenAPIHono, RouteConfig } from "@hono/zod-openapi";
import type { Env, Handler } from "hono";
import { methodNotAllowed } from "../openai/errors.ts";
import type { Operation } from "./operation.ts";

/** What a method does, and how. */
export type Described<E extends Env, Path extends string> = readonly [
  operation: Operation,
  handler: Handler<E, Path>,
];

/** Under what a registry keeps an operation until its document is asked for. */
const OPERATION = "x-operation";

type Method = "get" | "post" | "delete";

/**
 * Adds to an app a path that has these methods, and answers 405 to all others.
 *
 * @param path in Hono's pattern
 * @param described in OpenAPI's pattern, where it cannot be told from Hono's
 */
export function addPath<E extends Env, Path extends string>(
  app: OpenAPIHono<E>,
  path: Path,
  methods: Partial<Record<Method, Described<E, Path>>>,
  described: string = path.replaceAll(/:(\w+)(\{.*?\})?/g, "{$1}"),
): OpenAPIHono<E> {
  const entries = Object.entries(methods) as [Method, Described<E, Path>][];
  for (const [method, [operation, handler]] of entries) {
    app.openAPIRegistry.registerPath({
      method,
      path: described,
      responses: {},
      [OPERATION]: operation,
    });
    app.on(method, [path], handler);
  }
  return refuseOthers(app, path, entries.map(([method]) => method));
}

/** The operation that {@linkcode addPath} has given a registry. */
export function operationOf(route: RouteConfig): Operation {
  return route[OPERATION];
}

/** Adds a file, which is part of a page and no operation. */
export function addFile<E extends Env>(
  app: OpenAPIHono<E>,
  path: string,
  handler: Handler<E>,
): OpenAPIHono<E> {
  app.get(path, handler);
  return refuseOthers(app, path, ["get"]);
}

/** A path that exists gets a 405, not a 404, for the methods that it does not have. */
function refuseOthers<E extends Env>(
  app: OpenAPIHono<E>,
  path: string,
  methods: readonly Method[],
): OpenAPIHono<E> {
  const allowed = methods.map((method) => method.toUpperCase()).join(", ");
  app.all(path, (c) => {
    throw methodNotAllowed(c.req.method, { path: c.req.path, allowed });
  });
  return app;
}
