/** The web application: every route and what holds for all of them. No I/O on import. @module */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { requestId, type RequestIdVariables } from "hono/request-id";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { measuredEach } from "./metrics/measured.ts";
import { Metrics } from "./metrics/metrics.ts";
import {
  type ApiError,
  methodNotAllowed,
  routeNotFound,
  toApiError,
} from "./openai/errors.ts";
import { chatCompletionRoutes } from "./routes/chat_completions.ts";
import { conversationRoutes } from "./routes/conversations.ts";
import { healthRoutes } from "./routes/health.ts";
import { metricRoutes } from "./routes/metrics.ts";
import { modelRoutes } from "./routes/models.ts";
import { PAGE_PATHS, pageRoutes } from "./routes/page.ts";
import type { AppParts, Parts } from "./routes/parts.ts";
import { responseRoutes } from "./routes/responses.ts";
import type { Store } from "./store/store.ts";

export type { AppParts } from "./routes/parts.ts";

type Env = { Variables: RequestIdVariables };

const DEFAULTS = {
  caches: () => null,
  loadError: () => null,
  pingInterval: 15_000,
  backlog: 1_024,
  bodyLimit: 8 * 1024 * 1024,
  store: null,
  report: (error: unknown, id: string) => console.error(`[${id}]`, error),
};

/**
 * Every route over the given parts. Its `fetch` takes the handler info of `Deno.serve` as second
 * argument, to know clients without an API key by their addresses.
 *
 * @example Serve a model
 * ```ts ignore
 * Deno.serve(createApp({ model: () => model }).fetch);
 * ```
 */
export function createApp(given: AppParts): Hono<Env> {
  const metrics = new Metrics();
  const model = measuredEach(given.model, metrics);
  const parts: Parts = { ...DEFAULTS, ...given, model };
  const app = new Hono<Env>();
  app.use(requestId());
  app.use(
    "/v1/*",
    cors({
      origin: "*",
      exposeHeaders: ["x-request-id", "retry-after"],
      maxAge: 86_400,
    }),
  );
  app.route("/v1/chat/completions", chatCompletionRoutes(parts));
  if (parts.store) addConversations(app, parts, parts.store);
  app.route("/v1/models", modelRoutes(parts));
  app.route("/health", healthRoutes(parts));
  app.route("/metrics", metricRoutes(parts, metrics));
  app.route("/", pageRoutes());
  allowOnly(app, "POST", ["/v1/chat/completions"]);
  allowOnly(app, "GET", [
    "/v1/models",
    "/v1/models/*",
    "/health",
    "/metrics",
    ...PAGE_PATHS,
  ]);
  app.notFound((c) => answer(c, routeNotFound(c.req.method, c.req.path)));
  app.onError((error, c) => {
    const known = toApiError(error);
    if (known.status === 500) parts.report(error, c.get("requestId"));
    return answer(c, known);
  });
  return app;
}

function addConversations(app: Hono<Env>, parts: Parts, store: Store): void {
  app.route("/v1/responses", responseRoutes(parts, store));
  app.route("/v1/conversations", conversationRoutes(parts, store));
  allowOnly(app, "POST", [
    "/v1/responses",
    "/v1/responses/input_tokens",
    "/v1/responses/:id/cancel",
    "/v1/conversations",
  ]);
  allowOnly(app, "GET", ["/v1/responses/:id/input_items"]);
  allowOnly(app, "GET, DELETE", [
    "/v1/responses/:id",
    "/v1/conversations/:id/items/:item",
  ]);
  allowOnly(app, "GET, POST", ["/v1/conversations/:id/items"]);
  allowOnly(app, "GET, POST, DELETE", ["/v1/conversations/:id"]);
}

/** Paths that exist get a 405, not a 404, for the methods they do not have. */
function allowOnly(app: Hono<Env>, allowed: string, paths: string[]): void {
  for (const path of paths) {
    app.all(path, (c) => {
      throw methodNotAllowed(c.req.method, { path: c.req.path, allowed });
    });
  }
}

function answer(c: Context<Env>, error: ApiError): Response {
  return c.json(
    error.body,
    error.status as ContentfulStatusCode,
    error.headers,
  );
}
