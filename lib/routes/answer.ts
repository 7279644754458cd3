/** What becomes of an answer: one object, or a stream of them. @module */
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { z } from "zod";
import type { GenerationRequest } from "../chat/chat_model.ts";
import { answerChoices, type AnswerEvent } from "../chat/choices.ts";
import type { ChatModel } from "../chat/chat_model.ts";
import {
  type AnswerOptions,
  CompletionBuilder,
  FrameWriter,
  type WireFormat,
} from "../openai/completion.ts";
import { clientGone } from "../openai/errors.ts";
import type { Delivery } from "../openai/parameters.ts";
import { eventStream } from "./event_stream.ts";
import type { Parts } from "./parts.ts";
import { Turn } from "./turn.ts";
import { whileConnected } from "./while_connected.ts";

/** What the routes that generate know of a request. */
export type AnswerEnv = { Variables: RequestIdVariables };

/** The header that asks for {@linkcode AnswerOptions.cacheState}. */
export const cacheStateHeader = z.string().describe(
  "`1`: each chunk of a stream has the cache's state in `everstream`.",
);

/** What is asked of the model, and how the client wants it. */
export interface Asked {
  model: ChatModel;
  requests: GenerationRequest[];
  delivery: Delivery;
  format: WireFormat;
}

/** Answers a request. */
export async function answer(
  c: Context<AnswerEnv>,
  parts: Parts,
  { model, requests, delivery, format }: Asked,
): Promise<Response> {
  const turn = new Turn(answerChoices(model, requests, delivery.n), {
    backlog: parts.backlog,
    report: (error) => parts.report(error, c.get("requestId")),
  });
  const options = {
    model: model.id,
    choices: requests.length * delivery.n,
    logprobs: requests[0]?.topLogprobs !== undefined,
    includeUsage: delivery.includeUsage,
    cacheState: c.req.header("x-everstream-cache") === "1",
  };
  const way = { turn, format, options };
  return delivery.stream ? await streamed(c, parts, way) : await whole(c, way);
}

interface Way {
  turn: Turn<AnswerEvent>;
  format: WireFormat;
  options: AnswerOptions;
}

async function whole(
  c: Context<AnswerEnv>,
  { turn, format, options }: Way,
): Promise<Response> {
  const builder = new CompletionBuilder(format, options);
  return await whileConnected(c.req.raw, () => turn.close(), async () => {
    for (;;) {
      await arrival(turn);
      for (const event of turn.take()) {
        const complete = builder.add(event);
        if (complete) return c.json(complete);
      }
    }
  });
}

async function streamed(
  c: Context<AnswerEnv>,
  { pingInterval, report }: Parts,
  { turn, format, options }: Way,
): Promise<Response> {
  // However long the queue is: what is refused there gets a status, not a broken stream.
  await whileConnected(c.req.raw, () => turn.close(), () => arrival(turn));
  const body = eventStream(turn, {
    frames: new FrameWriter(format, options),
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
async function arrival(turn: Turn<AnswerEvent>): Promise<void> {
  await turn.arrives();
  if (turn.over) throw clientGone();
}
