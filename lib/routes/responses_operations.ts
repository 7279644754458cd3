/** The operations under `/v1/responses`, as clients read of them. @module */
import { pageSchema } from "../openai/lists.ts";
import {
  deletedSchema,
  inputTokensSchema,
  itemListSchema,
  responseEventSchema,
  responseSchema,
} from "../openai/response_schemas.ts";
import {
  idempotencyKeySchema,
  inputTokensRequestSchema,
  responseRequestSchema,
  retrieveSchema,
} from "../openai/responses_request.ts";
import type { Answer, Operation } from "../openapi/operation.ts";

const tag = "Responses";
const path = { id: "The response's id." };

const RESPONSE: Answer = {
  description: "The response.",
  content: { "application/json": responseSchema },
};

const RESPONSE_OR_EVENTS: Answer = {
  description: "The response, or the events of its stream.",
  content: {
    ...RESPONSE.content,
    "text/event-stream": {
      event: responseEventSchema,
      description: "Events, each named by its type.",
    },
  },
};

/** `POST /v1/responses`. */
export const CREATE: Operation = {
  id: "createResponse",
  tag,
  summary: "Answer what was said, and keep it",
  description:
    "Goes on with a `conversation` or a `previous_response_id`, at the cost of what is new.",
  headers: { "Idempotency-Key": idempotencyKeySchema },
  body: {
    schema: responseRequestSchema,
    example: { input: "Hello", max_output_tokens: 16 },
  },
  answers: {
    200: {
      ...RESPONSE_OR_EVENTS,
      headers: {
        "Idempotent-Replayed": "`true` if this request was answered before.",
      },
    },
  },
  errors: [404, 409, 422, 504],
};

/** `POST /v1/responses/input_tokens`. */
export const COUNT: Operation = {
  id: "countInputTokens",
  tag,
  summary: "Count the tokens that a request would have the model read",
  body: { schema: inputTokensRequestSchema, example: { input: "Hello" } },
  answers: {
    200: {
      description: "The number, that of what it goes on from included.",
      content: { "application/json": inputTokensSchema },
    },
  },
  errors: [404, 409],
};

/** `GET /v1/responses/{id}`. */
export const READ: Operation = {
  id: "getResponse",
  tag,
  summary: "Read a response, or its stream from any event on",
  path,
  query: retrieveSchema,
  answers: { 200: RESPONSE_OR_EVENTS },
  errors: [404],
};

/** `DELETE /v1/responses/{id}`. */
export const DELETE: Operation = {
  id: "deleteResponse",
  tag,
  summary: "Erase a response, with what only it was made of",
  path,
  answers: {
    200: {
      description: "It is gone.",
      content: { "application/json": deletedSchema("response") },
    },
  },
  errors: [404],
};

/** `POST /v1/responses/{id}/cancel`. */
export const CANCEL: Operation = {
  id: "cancelResponse",
  tag,
  summary: "End a response that is on its way",
  path,
  answers: { 200: RESPONSE },
  errors: [404],
};

/** `GET /v1/responses/{id}/input_items`. */
export const INPUT_ITEMS: Operation = {
  id: "listInputItems",
  tag,
  summary: "List what a response answers",
  path,
  query: pageSchema,
  answers: {
    200: {
      description: "Items.",
      content: { "application/json": itemListSchema },
    },
  },
  errors: [404],
};
