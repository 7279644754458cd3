/** `POST /v1/completions`: how the model goes on from raw prompts. @module */
import { Hono } from "hono";
import type { ChatModel, PromptSource } from "../chat/chat_model.ts";
import { parseCompletionRequest } from "../openai/completion_request.ts";
import { textFormat } from "../openai/text_completion.ts";
import { answer, type AnswerEnv } from "./answer.ts";
import { clientOf } from "./client.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";

/** The route of `/v1/completions`. */
export function completionRoutes(parts: Parts): Hono<AnswerEnv> {
  return new Hono<AnswerEnv>().post("/", async (c) => {
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
  });
}

async function promptText(
  model: ChatModel,
  { prompt }: PromptSource,
): Promise<string> {
  if (!prompt) return "";
  return "text" in prompt ? prompt.text : await model.decode(prompt.tokens);
}
