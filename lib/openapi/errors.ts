/** The responses of errors, of which each status has one. @module */
import { RATE_HEADERS } from "../access/limit_rate.ts";
import { errorSchema } from "../openai/errors.ts";
import type { Components } from "./components.ts";

/** What only some operations may answer with. */
export type OwnError = 404 | 408 | 409 | 422 | 504;

/** What an operation may answer with for what holds for many. */
export type CommonError = 400 | 401 | 413 | 429 | 431 | 500 | 503;

interface KnownError {
  readonly description: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const RETRY = { "Retry-After": "Whole seconds after which to try again." };

const STANDING = Object.fromEntries(
  RATE_HEADERS.map((name) => [name, "As OpenAI's, where there is a limit."]),
);

const ERRORS: Readonly<Record<OwnError | CommonError, KnownError>> = {
  400: { description: "The request is at fault: `error.param` says where." },
  401: {
    description: "No API key was sent, or none of this server's.",
    headers: { "WWW-Authenticate": "`Bearer`." },
  },
  404: { description: "There is no such object here, or not any more." },
  408: { description: "The answer was read too slowly." },
  409: {
    description: "A turn of the conversation is under way.",
    headers: RETRY,
  },
  413: { description: "The request's body is too large." },
  422: { description: "The `Idempotency-Key` was given to another request." },
  429: {
    description: "The client is over a limit of its own.",
    headers: { ...RETRY, ...STANDING },
  },
  431: { description: "The request's headers are too many, or too long." },
  500: { description: "The server failed. Its log has the cause." },
  503: {
    description:
      "Not now: the model is loading, could not be loaded or was restarted, the queue is full, or " +
      "the server is stopping. Without `Retry-After` there is no use in trying again.",
    headers: RETRY,
  },
  504: { description: "The answer took too long, and would again." },
};

/** Where a document has the response of an error. */
export function errorReference(
  status: OwnError | CommonError,
): { $ref: string } {
  return { $ref: `#/components/responses/Error${status}` };
}

/** The responses, by the name that {@linkcode errorReference} gives them. */
export function errorResponses(components: Components) {
  const schema = components.convert(errorSchema);
  const content = { "application/json": { schema } };
  return Object.fromEntries(
    Object.entries(ERRORS).map(([status, { description, headers = {} }]) => [
      `Error${status}`,
      { description, headers: headersOf(headers), content },
    ]),
  );
}

/** Headers of text, of their descriptions. */
export function headersOf(headers: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, {
      description,
      schema: { type: "string" as const },
    }]),
  );
}
