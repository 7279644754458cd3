/**
 * Several answers to one request, told as they come: each choice is a request of its own to the
 * model, and together they are one answer.
 *
 * @module
 */
import { splitmix64 } from "../sampling/random.ts";
import { cancellable } from "./cancellable.ts";
import type {
  ChatModel,
  GenerationEvent,
  GenerationRequest,
  ToolCall,
  Usage,
} from "./chat_model.ts";
import { Inbox } from "./inbox.ts";
import { ToolCallReader } from "./tool_calls.ts";

/** Part of a choice, with the calls that became complete with it. */
export type PieceEvent = Extract<GenerationEvent, { type: "text" }> & {
  calls?: ToolCall[];
};

/** Why a choice ended. */
export type FinishReason = "stop" | "length" | "tool_calls";

/** One step of a choice: one `start`, any number of `text`, one `end`. */
export type ChoiceEvent =
  | Extract<GenerationEvent, { type: "start" }>
  | PieceEvent
  | { type: "end"; finishReason: FinishReason; usage: Usage };

/** One step of an answer: the choices' steps as they come, and one `end`. */
export type AnswerEvent =
  | { type: "choice"; index: number; event: ChoiceEvent }
  | { type: "end"; usage: Usage };

/**
 * Asks the model for `n` choices for each of the requests; those of the first request come first. The
 * first choice has the request's seed, and so what the request alone would get, within the engine's
 * rounding; the others have seeds derived from it. The answer ends when all have ended, fails as soon as one fails, and ending it early ends all.
 *
 * @example Two answers to a request
 * ```ts ignore
 * for await (const step of answerChoices(model, [request], 2)) {
 *   if (step.type === "choice") console.log(step.index, step.event);
 * }
 * ```
 */
export function answerChoices(
  model: Pick<ChatModel, "generate">,
  requests: readonly GenerationRequest[],
  n: number,
): AsyncGenerator<AnswerEvent, void, void> {
  const choices = requests.length * n;
  const all = requests.flatMap((request) =>
    Array.from({ length: n }, (_, k) => ({
      ...request,
      sampling: {
        ...request.sampling,
        seed: seedOfChoice(request.sampling.seed, k),
      },
      ...(choices > 1 ? { choices } : {}),
    }))
  );
  return cancellable((signal) => merged(model, all, { n, signal }));
}

/** A step of a choice, whose next one is not asked for before this one was taken. */
interface Step {
  readonly index: number;
  /** `null` once it is over. */
  readonly event: ChoiceEvent | null;
  taken(): void;
}

async function* merged(
  model: Pick<ChatModel, "generate">,
  requests: readonly GenerationRequest[],
  { n, signal }: { n: number; signal: AbortSignal },
): AsyncGenerator<AnswerEvent, void, void> {
  const inbox = new Inbox<Step>();
  const running = new Set<AsyncGenerator<GenerationEvent, void, void>>();
  const stop = () => [...running].map((events) => events.return());
  // At once, for observers tell what was cancelled from what has ended.
  signal.addEventListener("abort", () => {
    inbox.fail(signal.reason);
    Promise.allSettled(stop());
  });
  const put = (index: number, event: ChoiceEvent | null) =>
    new Promise<void>((taken) => inbox.push({ index, event, taken }));
  requests.forEach(async (request, index) => {
    const events = model.generate(request);
    running.add(events);
    try {
      for await (const event of withCalls(request, events)) {
        await put(index, event);
      }
      running.delete(events);
      await put(index, null);
    } catch (error) {
      running.delete(events);
      inbox.fail(error);
    }
  });
  const usages: Usage[] = [];
  try {
    for (let left = requests.length; left > 0;) {
      const { index, event, taken } = await inbox.take();
      if (event?.type === "end") usages[index] = event.usage;
      if (event === null) left--;
      else yield { type: "choice", index, event };
      taken();
    }
    // A choice that stopped without an end leaves the answer without one.
    const ended = requests.every((_, index) => usages[index]);
    if (ended) yield { type: "end", usage: usageOf(usages, n) };
  } finally {
    await Promise.all(stop());
  }
}

/** The events of a choice, with calls read out of its text if it could make any. */
async function* withCalls(
  { tools = [] }: GenerationRequest,
  events: AsyncGenerator<GenerationEvent, void, void>,
): AsyncGenerator<ChoiceEvent, void, void> {
  if (tools.length === 0) return yield* events;
  const reader = new ToolCallReader();
  let tokens = 0;
  for await (const event of events) {
    if (event.type === "start") {
      yield event;
      continue;
    }
    const parts = event.type === "text"
      ? reader.push(event.text)
      : reader.end();
    const text = parts.map((part) => "text" in part ? part.text : "").join("");
    const calls = parts.flatMap((part) => "call" in part ? [part.call] : []);
    if (event.type === "text") {
      tokens = event.tokens;
      yield { ...event, text, calls };
      continue;
    }
    const { cache } = event.usage;
    if (parts.length > 0) yield { type: "text", tokens, text, calls, cache };
    const called = reader.called && event.finishReason === "stop";
    yield {
      ...event,
      finishReason: called ? "tool_calls" : event.finishReason,
    };
  }
}

/** Each prompt counts once, its tokens as cached only if none of its choices computed them. */
function usageOf(usages: readonly Usage[], n: number): Usage {
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const prompts = usages.filter((_, index) => index % n === 0);
  return {
    promptTokens: sum(prompts.map((usage) => usage.promptTokens)),
    cachedTokens: sum(prompts.map((_, p) =>
      Math.min(
        ...usages.slice(p * n, p * n + n).map((usage) => usage.cachedTokens),
      )
    )),
    completionTokens: sum(usages.map((usage) => usage.completionTokens)),
    cache: usages[0]!.cache,
  };
}

/**
 * The seed of a request's k-th choice: the request's own for the first; none without one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { seedOfChoice } from "./choices.ts";
 * assertEquals(seedOfChoice(7, 0), 7);
 * assertEquals(seedOfChoice(7, 1), seedOfChoice(7, 1));
 * assertEquals(seedOfChoice(undefined, 1), undefined);
 * ```
 */
export function seedOfChoice(
  seed: number | undefined,
  k: number,
): number | undefined {
  if (seed === undefined || k === 0) return seed;
  const next = splitmix64(BigInt(seed));
  let word = 0n;
  for (let i = 0; i < k; i++) word = next();
  return Number(BigInt.asIntN(53, word));
}
