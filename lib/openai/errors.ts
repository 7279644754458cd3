/**
 * Errors in OpenAI's shape: `{ error: { message, type, param, code } }`. Everything that a route
 * throws becomes an {@linkcode ApiError} before it reaches a client, so nothing else leaks.
 *
 * @module
 */
import { z } from "zod";
import { RequestError, UnavailableError } from "../chat/chat_model.ts";
import { GoneError } from "../store/under_way.ts";

/** The JSON body of an error answer, and the data of an error frame. */
export const errorSchema = z.object({
  error: z.object({
    message: z.string()
      .describe("What was asked, what is the case, what to do."),
    type: z.enum([
      "invalid_request_error",
      "server_error",
      "overloaded",
      "requests",
      "tokens",
    ]),
    param: z.string().nullable()
      .describe("The parameter at fault, as `messages[0].role`."),
    code: z.string().nullable(),
  }),
}).meta({ id: "Error" });

/** The JSON body of an error answer, and the data of an error frame. */
export type ErrorBody = z.infer<typeof errorSchema>;

/** What a client reads of an error, in OpenAI's words. */
export type ErrorDetails = ErrorBody["error"];

/** An error with an HTTP status, whose message is for the client. */
export class ApiError extends Error {
  override name = "ApiError";
  /** HTTP status of the answer. */
  readonly status: number;
  /** Headers that go with it, as `Retry-After`. */
  readonly headers: Record<string, string>;
  readonly #details: Omit<ErrorDetails, "message">;

  constructor(
    status: number,
    { message, ...details }: ErrorDetails,
    headers: Record<string, string> = {},
  ) {
    super(message);
    this.status = status;
    this.headers = headers;
    this.#details = details;
  }

  /** The body for the wire. */
  get body(): ErrorBody {
    return { error: { message: this.message, ...this.#details } };
  }
}

/** A 400: the request is at fault in `param`, or as a whole. */
export function invalidRequest(
  message: string,
  { param = null, code = null, status = 400, headers = {} }: {
    param?: string | null;
    code?: string | null;
    status?: number;
    headers?: Record<string, string>;
  } = {},
): ApiError {
  const type = "invalid_request_error";
  return new ApiError(status, { message, type, param, code }, headers);
}

/** A 404 for a model that is not the loaded one. */
export function modelNotFound(asked: string, loaded: string): ApiError {
  return invalidRequest(
    `The model '${asked}' does not exist here; this server has '${loaded}'. ` +
      `Ask for '${loaded}' or 'default'.`,
    { status: 404, param: "model", code: "model_not_found" },
  );
}

/** A 404 for a path without a route. */
export function routeNotFound(method: string, path: string): ApiError {
  return invalidRequest(
    `There is nothing at ${method} ${path}. ` +
      "See GET /docs for what there is.",
    { status: 404, code: "unknown_url" },
  );
}

/** A 405 for a path that has other methods. */
export function methodNotAllowed(
  method: string,
  { path, allowed }: { path: string; allowed: string },
): ApiError {
  return invalidRequest(
    `${method} is not allowed on ${path}. Use ${allowed}.`,
    { status: 405, code: "method_not_allowed", headers: { allow: allowed } },
  );
}

/** A 413 for a body of more than `limit` bytes. */
export function bodyTooLarge(limit: number): ApiError {
  return invalidRequest(
    `The request's body is over the limit of ${limit} bytes. Send a shorter conversation.`,
    { status: 413, code: "request_too_large" },
  );
}

/** A 408 for a client that let more than `backlog` events of its answer wait. */
export function clientTooSlow(backlog: number): ApiError {
  return invalidRequest(
    `The answer was ended here because its stream was read too slowly: more than ${backlog} ` +
      "events were waiting. Read faster, or ask for the whole answer with 'stream': false.",
    { status: 408, code: "client_too_slow" },
  );
}

/** A 499, nginx's word for it in logs: nobody reads this one. */
export function clientGone(): ApiError {
  return invalidRequest("The client left before the answer was complete.", {
    status: 499,
    code: "client_closed_request",
  });
}

/** A 404 for an object that this client has not got. */
export function notFound(
  what: string,
  id: string,
  { param = null, code = null }: {
    param?: string | null;
    code?: string | null;
  } = {},
): ApiError {
  return invalidRequest(
    `There is no ${what} '${id}' here, or not any more. Check the id, or begin anew.`,
    { status: 404, param, code },
  );
}

/** A 409 for what a turn under way keeps from being changed. */
export function turnUnderWay(param: string | null = null): ApiError {
  return invalidRequest(
    "A turn of this conversation is under way, and only one at a time may be. " +
      "Try again when it has ended.",
    {
      status: 409,
      param,
      code: "conversation_locked",
      headers: { "retry-after": "1" },
    },
  );
}

/** A 422 for a key that was given to another request. */
export function idempotencyKeyReused(): ApiError {
  return invalidRequest(
    "The Idempotency-Key was given to another request before. Give each request its own.",
    { status: 422, code: "idempotency_key_reused" },
  );
}

/** A 503 while the model is on its way. */
export function modelLoading(): ApiError {
  return new ApiError(503, {
    message: "The model is still loading. Try again in a moment.",
    type: "server_error",
    param: null,
    code: "model_loading",
  }, { "retry-after": "1" });
}

/** A 503 for a model that will not come. */
export function modelFailed(): ApiError {
  return new ApiError(503, {
    message:
      "The model could not be loaded. The server's log and GET /health say why.",
    type: "server_error",
    param: null,
    code: "model_failed",
  });
}

/** A 503 while the server ends. */
export function serverStopping(): ApiError {
  return new ApiError(503, {
    message: "This server is stopping. Ask again in a moment.",
    type: "server_error",
    param: null,
    code: "server_stopping",
  }, { "retry-after": "1", connection: "close" });
}

/** A 431 for headers over a limit. */
export function headersTooLarge(what: string, limit: string): ApiError {
  return invalidRequest(
    `The request's headers are too large: ${what}, the limit is ${limit}. Send fewer or shorter ones.`,
    { status: 431, code: "headers_too_large" },
  );
}

/** What a client is told of any thrown value: of an unexpected one, nothing but that it happened. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof RequestError) {
    return invalidRequest(thrown.message, {
      param: thrown.param,
      code: "invalid_value",
    });
  }
  if (thrown instanceof UnavailableError) return unavailable(thrown);
  if (thrown instanceof GoneError) return deletedMeanwhile();
  return new ApiError(500, {
    message:
      "The server failed to answer. Try again; its log has the cause under this request's x-request-id.",
    type: "server_error",
    param: null,
    code: "internal_error",
  });
}

/** A 404 for a turn of which something was deleted. */
function deletedMeanwhile(): ApiError {
  return invalidRequest(
    "The response, or what it goes on from, was deleted before it was complete.",
    { status: 404, code: "deleted" },
  );
}

/** A 503 to be tried again; a 504 for an answer that took too long and would again. */
function unavailable(
  { code, message, retryAfter }: UnavailableError,
): ApiError {
  const queued = code === "queue_full" || code === "queue_timeout";
  const type = queued ? "overloaded" : "server_error";
  const details = { message, type, param: null, code } as const;
  return code === "answer_timeout"
    ? new ApiError(504, details)
    : new ApiError(503, details, { "retry-after": String(retryAfter) });
}
