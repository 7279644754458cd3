/** The web application: every route and what holds for all of them. No I/O on import. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { limitHeaders } from "./access/limit_headers.ts";
import { limitRate, RATE_HEADERS } from "./access/limit_rate.ts";
import { requireKey } from "./access/require_key.ts";
import { securityHeaders } from "./access/security_headers.ts";
import { Drain } from "./ending/drain.ts";
import { refuseWhileDraining } from "./ending/refuse_while_draining.ts";
import { measure } from "./metrics/measured.ts";
import { Metrics } from "./metrics/metrics.ts";
import { logRequests } from "./observe/log_requests.ts";
import { observed, wrappedEach } from "./observe/observed_model.ts";
import { recordAnswers } from "./observe/record_answers.ts";
import { recordRequests } from "./observe/record_requests.ts";
import type { RecordVariables } from "./observe/request_record.ts";
import { routeNotFound, toApiError } from "./openai/errors.ts";
import { documentOf } from "./openapi/document.ts";
import { chatCompletionRoutes } from "./routes/chat_completions.ts";
import { completionRoutes } from "./routes/completions.ts";
import { clientOf, remoteNetwork } from "./routes/client.ts";
import { conversationRoutes } from "./routes/conversations.ts";
import { DOCS_PATHS, docsRoutes } from "./routes/docs.ts";
import { healthRoutes } from "./routes/health.ts";
import { metricRoutes } from "./routes/metrics.ts";
import { modelRoutes } from "./routes/models.ts";
import { PAGE_PATHS, pageRoutes } from "./routes/page.ts";
import { TOKEN_PATHS, tokenRoutes } from "./routes/tokens.ts";
import type { AppParts, Parts } from "./routes/parts.ts";
import { responseRoutes } from "./routes/responses.ts";

export type { AppParts } from "./routes/parts.ts";

type Env = { Variables: RecordVariables };

const DEFAULTS = {
  caches: () => null,
  loadError: () => null,
  pingInterval: 15_000,
  backlog: 1_024,
  bodyLimit: 8 * 1024 * 1024,
  keys: null,
  rates: { requests: 0, tokens: 0, streams: 0 },
  origins: "*" as const,
  log: () => {},
  tracing: null,
  store: null,
  report: (error: unknown, id: string) => console.error(`[${id}]`, error),
};

/** What needs no key. */
const OPEN_PATHS: readonly string[] = [
  "/health",
  ...DOCS_PATHS,
  ...PAGE_PATHS,
];

/** What the model is asked by: it counts for limits, and other origins may send it. */
const API_PATHS: readonly string[] = ["/v1/*", ...TOKEN_PATHS];

/**
 * Every route over the given parts. Its `fetch` takes the handler info of `Deno.serve` as second
 * argument, to know clients without an API key by their addresses.
 *
 * @example Serve a model
 * ```ts ignore
 * Deno.serve(createApp({ model: () => model }).fetch);
 * ```
 */
export function createApp(given: AppParts): OpenAPIHono<Env> {
  const metrics = new Metrics();
  const parts: Parts = {
    drain: new Drain(),
    ...DEFAULTS,
    ...given,
    model: wrappedEach(given.model, (model) => {
      const observers = [measure(metrics), recordAnswers];
      if (parts.tracing) observers.push(parts.tracing.observe);
      return parts.drain.endable(observed(model, observers));
    }),
  };
  const app = new OpenAPIHono<Env>();
  protect(app, parts);
  app.route("/v1/chat/completions", chatCompletionRoutes(parts));
  app.route("/v1/completions", completionRoutes(parts));
  if (parts.store) {
    app.route("/v1/responses", responseRoutes(parts, parts.store));
    app.route("/v1/conversations", conversationRoutes(parts, parts.store));
  }
  app.route("/v1/models", modelRoutes(parts));
  app.route("/health", healthRoutes(parts));
  app.route("/metrics", metricRoutes(parts, metrics));
  app.route("/", tokenRoutes(parts));
  app.route("/", pageRoutes());
  app.route(
    "/",
    docsRoutes(() =>
      documentOf(app, {
        keyed: parts.keys !== null,
        open: (path) => OPEN_PATHS.includes(path),
        limited: (path) =>
          path.startsWith("/v1/") || TOKEN_PATHS.includes(path),
      })
    ),
  );
  app.notFound((c) => {
    throw routeNotFound(c.req.method, c.req.path);
  });
  app.onError((error, c) => {
    const known = toApiError(error);
    if (known.status === 500) parts.report(error, c.get("requestId"));
    return c.json(
      known.body,
      known.status as ContentfulStatusCode,
      known.headers,
    );
  });
  return app;
}

/** What holds for every request, whatever its route: the first refuses before the next is asked. */
function protect(app: OpenAPIHono<Env>, parts: Parts): void {
  const { keys, rates } = parts;
  app.use(requestId());
  app.use(recordRequests());
  app.use(logRequests(parts.log));
  if (parts.tracing) app.use(parts.tracing.nameRequest);
  app.use(securityHeaders());
  const api = (middleware: MiddlewareHandler) => {
    for (const path of API_PATHS) app.use(path, middleware);
  };
  api(cors({
    origin: parts.origins === "*" ? "*" : [...parts.origins],
    exposeHeaders: ["x-request-id", "retry-after", ...RATE_HEADERS],
    maxAge: 86_400,
  }));
  app.use(refuseWhileDraining(parts.drain));
  app.use(limitHeaders());
  if (keys) app.use(requireKey(keys, OPEN_PATHS));
  if (rates.requests > 0 || rates.tokens > 0 || rates.streams > 0) {
    // Without keys anyone may send any token: only addresses tell clients apart.
    api(
      limitRate(rates, (c) => keys ? clientOf(c).owner : remoteNetwork(c.env)),
    );
  }
}
