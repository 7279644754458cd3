/** `POST /v1/completions`: how the model goes on from raw prompts. @module */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import type { ChatModel, PromptSource } from "../chat/chat_model.ts";
import {
  textChunkSchema,
  textCompletionSchema,
} from "../openai/answer_schemas.ts";
import {
  completionRequestSchema,
  parseCompletionRequest,
} from "../openai/completion_request.ts";
import { textFormat } from "../openai/text_completion.ts";
import { errorSchema } from "../openai/errors.ts";
import { addPath } from "../openapi/add_path.ts";
import type { Operation } from "../openapi/operation.ts";
import { answer, type AnswerEnv, cacheStateHeader } from "./answer.ts";
import { clientOf } from "./client.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";

const CREATE: Operation = {
  id: "createCompletion",
  tag: "Completions",
  summary: "Go on from raw prompts",
  description:
    "A prompt is text as it is, without a template, or token ids: only those can be control tokens.",
  headers: { "x-everstream-cache": cacheStateHeader },
  body: {
    schema: completionRequestSchema,
    example: { prompt: "Once upon a time", max_tokens: 16 },
  },
  answers: {
    200: {
      description: "How the model goes on.",
      content: {
        "application/json": textCompletionSchema,
        "text/event-stream": {
          event: z.union([textChunkSchema, errorSchema]),
          description: "Chunks, and `[DONE]` in the end; or an error.",
          last: "[DONE]",
        },
      },
    },
  },
  errors: [404, 408, 504],
};

/** The route of `/v1/completions`. */
export function completionRoutes(parts: Parts): OpenAPIHono<AnswerEnv> {
  return addPath(new OpenAPIHono<AnswerEnv>(), "/", {
    post: [CREATE, async (c) => {
      readyModel(parts);
      const body = await readJson(c.req.raw, parts.bodyLimit);
      const request = parseCompletionRequest(body);
      const { generations, echo, ...delivery } = request;
      const model = namedModel(parts, delivery.model);
      const echoes = echo
        ? await Promise.all(generations.map((one) => promptText(model, one)))
        : [];
      return await answer(c, parts, {
        model,
        requests: generations.map((one) => ({ ...one, client: clientOf(c) })),
        delivery,
        format: textFormat((index) =>
          echoes[Math.floor(index / delivery.n)] ?? ""
        ),
      });
    }],
  });
}

async function promptText(
  model: ChatModel,
  { prompt }: PromptSource,
): Promise<string> {
  if (!prompt) return "";
  return "text" in prompt ? prompt.text : await model.decode(prompt.tokens);
}
