/** `/v1/responses`: answers that are kept, and can be continued. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { sha256OfText } from "../models/sha256.ts";
import {
  type ApiError,
  idempotencyKeyReused,
  invalidRequest,
  notFound,
  turnUnderWay,
} from "../openai/errors.ts";
import { parsePage, wireList } from "../openai/lists.ts";
import {
  idempotencyKeySchema,
  parseInputTokensRequest,
  parseResponseRequest,
  parseRetrieveQuery,
  type PromptRequest,
  type ResponseRequest,
} from "../openai/responses_request.ts";
import { addPath } from "../openapi/add_path.ts";
import { continuationOf, ofInput } from "../responses/continuation.ts";
import { Responder, type Responding } from "../responses/responder.ts";
import type { ResponseBody, StreamEvent } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { Once } from "../store/turns.ts";
import { clientOf } from "./client.ts";
import { readJson } from "./json_body.ts";
import {
  CANCEL,
  COUNT,
  CREATE,
  DELETE,
  INPUT_ITEMS,
  READ,
} from "./responses_operations.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";
import { responseStream, STREAM_HEADERS } from "./response_stream.ts";
import { whileConnected } from "./while_connected.ts";

type Env = { Variables: RequestIdVariables };
type Begun = Extract<Responding, { outcome: "begun" }>;

/** Milliseconds after its end for which a request without a key is known from its retries. */
const RETRIED_WITHIN = 60_000;

/** The routes under `/v1/responses`. */
export function responseRoutes(parts: Parts, store: Store): OpenAPIHono<Env> {
  const responder = new Responder(
    store,
    (error) => parts.report(error, "snapshots"),
  );
  const routes = { parts, store, responder };
  const app = new OpenAPIHono<Env>();
  addPath(app, "/", { post: [CREATE, (c) => create(c, routes)] });
  addPath(app, "/input_tokens", {
    post: [COUNT, (c) => countTokens(c, routes)],
  });
  addPath(app, "/:id", {
    get: [READ, (c) => retrieve(c, routes)],
    delete: [DELETE, async (c) => {
      const id = c.req.param("id");
      const outcome = await store.responses.delete(clientOf(c).owner, id);
      if (outcome === "missing") throw responseNotFound(id);
      return c.json({ id, object: "response", deleted: true });
    }],
  });
  addPath(app, "/:id/cancel", {
    post: [CANCEL, async (c) => {
      const { owner } = clientOf(c);
      const id = c.req.param("id");
      const run = responder.running(owner, id);
      return c.json(
        run && store.responses.read(owner, id)
          ? await run.cancel()
          : readResponse(store, owner, id),
      );
    }],
  });
  addPath(app, "/:id/input_items", {
    get: [INPUT_ITEMS, (c) => {
      const id = c.req.param("id");
      const { owner } = clientOf(c);
      const page = store.responses.input(owner, id, parsePage(c.req.query()));
      if (!page) throw notFound("response (or item in it)", id);
      return c.json(wireList(page));
    }],
  });
  return app;
}

interface Routes {
  readonly parts: Parts;
  readonly store: Store;
  readonly responder: Responder;
}

async function create(c: Context<Env>, routes: Routes): Promise<Response> {
  const { parts, responder } = routes;
  readyModel(parts);
  const body = await readJson(c.req.raw, parts.bodyLimit);
  const request = parseResponseRequest(body);
  const responding = responder.begin({
    client: clientOf(c),
    model: namedModel(parts, request.model),
    request,
    once: onceOf(c, body),
    report: (error) => parts.report(error, c.get("requestId")),
  });
  switch (responding.outcome) {
    case "begun":
      return await answer(c, { ...routes, request, begun: responding });
    case "repeated":
      return await repeat(c, { ...routes, request, id: responding.response });
    case "key-reused":
      throw idempotencyKeyReused();
    default:
      throw refusal(responding.outcome, request);
  }
}

async function answer(
  c: Context<Env>,
  { request, begun, ...routes }: Routes & {
    request: ResponseRequest;
    begun: Begun;
  },
): Promise<Response> {
  const { run, turn } = begun;
  const { owner } = clientOf(c);
  // Where nothing is kept, nobody could read what comes after the client has left.
  const left = request.store ? () => {} : () => void run.cancel();
  if (request.background && !request.stream) {
    return c.json(readResponse(routes.store, owner, begun.id));
  }
  if (!request.background) {
    try {
      await whileConnected(c.req.raw, left, () => run.started);
    } catch (error) {
      await run.ended;
      await routes.store.responses.delete(owner, begun.id);
      throw error;
    }
  }
  if (request.stream) {
    return streamed(c, routes.parts, { events: turn.events.follow(-1), left });
  }
  const body = await whileConnected(c.req.raw, left, () => run.ended);
  if (run.failure) throw run.failure;
  return c.json(body);
}

/** Answers a request that came again with what it has come to, or comes to. */
async function repeat(
  c: Context<Env>,
  { parts, store, request, id }: Routes & {
    request: ResponseRequest;
    id: string;
  },
): Promise<Response> {
  const { owner } = clientOf(c);
  c.header("idempotent-replayed", "true");
  const events = () => store.responses.events(owner, id, -1) ?? none();
  if (request.stream) {
    return streamed(c, parts, { events: events(), left: () => {} });
  }
  const { status } = readResponse(store, owner, id);
  if (status === "in_progress" && !request.background) {
    for await (const _ of events());
  }
  return c.json(readResponse(store, owner, id));
}

async function* none(): AsyncGenerator<StreamEvent, void, void> {}

function retrieve(c: Context<Env>, { parts, store }: Routes): Response {
  const { owner } = clientOf(c);
  const id = c.req.param("id")!;
  const { stream, after } = parseRetrieveQuery(c.req.query());
  const body = readResponse(store, owner, id);
  if (!stream) return c.json(body);
  const events = store.responses.events(owner, id, after);
  if (events) return streamed(c, parts, { events, left: () => {} });
  throw invalidRequest(
    `No events of the response '${id}' are kept any more: read it whole, without 'stream'.`,
    { param: "stream", code: "events_forgotten" },
  );
}

async function countTokens(
  c: Context<Env>,
  { parts, store }: Routes,
): Promise<Response> {
  readyModel(parts);
  const request = parseInputTokensRequest(
    await readJson(c.req.raw, parts.bodyLimit),
  );
  const model = namedModel(parts, request.model);
  const { owner } = clientOf(c);
  const start = store.turns.start(owner, request.continues);
  if (typeof start === "string") throw refusal(start, request);
  const { messages, tools } = continuationOf(request, start, { store, owner });
  const { base } = start;
  const tokens = messages.length === 0
    ? 0
    : await model.count({ messages, tools, continued: base !== null })
      .catch((error) => {
        throw ofInput(error);
      });
  return c.json({
    object: "response.input_tokens",
    input_tokens: (base?.tokens ?? 0) + tokens,
  });
}

function streamed(
  c: Context<Env>,
  { pingInterval, report }: Parts,
  { events, left }: {
    events: AsyncGenerator<StreamEvent, void, void>;
    left: () => void;
  },
): Response {
  const body = responseStream(events, {
    pingInterval,
    left,
    report: (error) => report(error, c.get("requestId")),
  });
  return c.body(body, 200, STREAM_HEADERS);
}

function readResponse(store: Store, owner: string, id: string): ResponseBody {
  const response = store.responses.read(owner, id);
  if (!response) throw responseNotFound(id);
  return response.body;
}

function responseNotFound(id: string): ApiError {
  return notFound("response", id, { code: "response_not_found" });
}

function refusal(
  outcome: "busy" | "missing",
  { continues }: PromptRequest,
): ApiError {
  const [what, param, id] = continues && "response" in continues
    ? ["response", "previous_response_id", continues.response] as const
    : ["conversation", "conversation", continues!.conversation] as const;
  if (outcome === "busy") return turnUnderWay(param);
  const code = param === "conversation"
    ? "conversation_not_found"
    : "previous_response_not_found";
  return notFound(`${what} to be continued,`, id, { param, code });
}

/**
 * How retries of a request are known: by the client's key, or for OpenAI's own clients, which count
 * their attempts, by what it asks.
 */
function onceOf(c: Context<Env>, body: unknown): Once {
  const fingerprint = sha256OfText(JSON.stringify(body));
  const key = c.req.header("idempotency-key");
  if (key === undefined) {
    return {
      key: `retry ${fingerprint}`,
      fingerprint,
      first: !/^[1-9]\d*$/.test(c.req.header("x-stainless-retry-count") ?? ""),
      knownFor: RETRIED_WITHIN,
    };
  }
  if (!idempotencyKeySchema.safeParse(key).success) {
    throw invalidRequest(
      `The Idempotency-Key has ${key.length} characters: give 1 to 255.`,
      { param: "Idempotency-Key", code: "invalid_value" },
    );
  }
  return { key: `key ${key}`, fingerprint };
}
