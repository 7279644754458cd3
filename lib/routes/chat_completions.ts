/** `POST /v1/chat/completions`: answers to a chat, whole or as a stream. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import {
  chatChunkSchema,
  chatCompletionSchema,
} from "../openai/answer_schemas.ts";
import { CHAT_FORMAT } from "../openai/chat_completion.ts";
import { chatRequestSchema, parseChatRequest } from "../openai/chat_request.ts";
import { errorSchema } from "../openai/errors.ts";
import { addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import { answer, type AnswerEnv, cacheStateHeader } from "./answer.ts";
import { clientOf } from "./client.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";

const CREATE: Operation = {
  id: "createChatCompletion",
  tag: "Chat",
  summary: "Answer a chat",
  headers: { "x-everstream-cache": cacheStateHeader },
  body: {
    schema: chatRequestSchema,
    example: {
      messages: [{ role: "user", content: "Hello" }],
      max_tokens: 16,
      everstream: { policy: "sink-window", sinks: 4, window: 252 },
    },
  },
  answers: {
    200: {
      description: "The answer.",
      content: {
        "application/json": chatCompletionSchema,
        "text/event-stream": {
          event: z.union([chatChunkSchema, errorSchema]),
          description: "Chunks, and `[DONE]` in the end; or an error.",
          last: "[DONE]",
        },
      },
    },
  },
  errors: [404, 408, 504],
};

/** The route of `/v1/chat/completions`. */
export function chatCompletionRoutes(parts: Parts): OpenAPIHono<AnswerEnv> {
  return addPath(new OpenAPIHono<AnswerEnv>(), "/", {
    post: [CREATE, async (c) => {
      readyModel(parts);
      const body = await readJson(c.req.raw, parts.bodyLimit);
      const { generation, ...delivery } = parseChatRequest(body);
      return await answer(c, parts, {
        model: namedModel(parts, delivery.model),
        requests: [{ ...generation, client: clientOf(c) }],
        delivery,
        format: CHAT_FORMAT,
      });
    }],
  });
}
