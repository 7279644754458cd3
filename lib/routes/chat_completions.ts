/** `POST /v1/chat/completions`: an answer, whole or as a stream. @module */
import { type Context, Hono } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import {
  answerHead,
  CompletionBuilder,
  FrameWriter,
} from "../openai/chat_completion.ts";
import { type ChatRequest, parseChatRequest } from "../openai/chat_request.ts";
import { clientGone } from "../openai/errors.ts";
import { clientOf } from "./client.ts";
import { eventStream } from "./event_stream.ts";
import { readJson } from "./json_body.ts";
import { namedModel, type Parts, readyModel } from "./parts.ts";
import { Turn } from "./turn.ts";
import { whileConnected } from "./while_connected.ts";

type Env = { Variables: RequestIdVariables };

/** The route of `/v1/chat/completions`. */
export function chatCompletionRoutes(parts: Parts): Hono<Env> {
  return new Hono<Env>().post("/", async (c) => {
    readyModel(parts);
    const body = await readJson(c.req.raw, parts.bodyLimit);
    const request = parseChatRequest(body);
    const model = namedModel(parts, request.model);
    const generation = { ...request.generation, client: clientOf(c) };
    const turn = new Turn(model.generate(generation), {
      backlog: parts.backlog,
      report: (error) => parts.report(error, c.get("requestId")),
    });
    const answer = { c, turn, request, model: model.id };
    return request.stream ? await streamed(answer, parts) : await whole(answer);
  });
}

interface Answer {
  c: Context<Env>;
  turn: Turn;
  request: ChatRequest;
  model: string;
}

async function whole({ c, turn, request, model }: Answer): Promise<Response> {
  const builder = new CompletionBuilder(
    answerHead(model),
    request.generation.topLogprobs !== undefined,
  );
  return await whileConnected(c.req.raw, () => turn.close(), async () => {
    for (;;) {
      await arrival(turn);
      for (const event of turn.take()) {
        if (event.type === "end") return c.json(builder.finish(event));
        if (event.type === "text") builder.add(event);
      }
    }
  });
}

async function streamed(
  { c, turn, request, model }: Answer,
  { pingInterval, report }: Parts,
): Promise<Response> {
  // However long the queue is: what is refused there gets a status, not a broken stream.
  await whileConnected(c.req.raw, () => turn.close(), () => arrival(turn));
  const frames = new FrameWriter(answerHead(model), {
    includeUsage: request.includeUsage,
    cacheState: c.req.header("x-everstream-cache") === "1",
    logprobs: request.generation.topLogprobs !== undefined,
  });
  const body = eventStream(turn, {
    frames,
    pingInterval,
    report: (error) => report(error, c.get("requestId")),
  });
  return c.body(body, 200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  });
}

/** Waits until there are events to take. */
async function arrival(turn: Turn): Promise<void> {
  await turn.arrives();
  if (turn.over) throw clientGone();
}
