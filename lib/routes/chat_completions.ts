/** `POST /v1/chat/completions`: answers to a chat, whole or as a stream. @module */
import { Hono } from "hono";
import { CHAT_FORMAT } from "../openai/chat_completion.ts";
import { parseChatRequest } from "../openai/chat_request.ts";
import { answer, type AnswerEnv } from "./answer.ts";
import { clientOf } from "./client.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";

/** The route of `/v1/chat/completions`. */
export function chatCompletionRoutes(parts: Parts): Hono<AnswerEnv> {
  return new Hono<AnswerEnv>().post("/", async (c) => {
    readyModel(parts);
    const body = await readJson(c.req.raw, parts.bodyLimit);
    const { generation, ...delivery } = parseChatRequest(body);
    return await answer(c, parts, {
      model: namedModel(parts, delivery.model),
      requests: [{ ...generation, client: clientOf(c) }],
      delivery,
      format: CHAT_FORMAT,
    });
  });
}
