/** A chat model whose answers are observed as they come, without being changed. @module */
import {
  type ChatModel,
  type GenerationEvent,
  RequestError,
  UnavailableError,
} from "../chat/chat_model.ts";
import { NotHeldError } from "../chat/thread.ts";
import type { AnswerMetrics, Failure, Metrics } from "./metrics.ts";

type Events = AsyncGenerator<GenerationEvent, void, void>;

/** How time is told. */
export interface MeasureOptions {
  /** Seconds since whenever. */
  now?: () => number;
}

/** The same model, whose answers count in `metrics`. */
export function measured(
  model: ChatModel,
  metrics: Metrics,
  { now = () => performance.now() / 1000 }: MeasureOptions = {},
): ChatModel {
  const series = metrics.of(model.id);
  return {
    id: model.id,
    created: model.created,
    state: () => model.state(),
    count: (request) => model.count(request),
    copy: (of) => model.copy(of),
    generate: (request) =>
      observed(model.generate(request), () => new Observation(series, now)),
  };
}

/** The model that `current` gives, measured; each one once, however often it is asked for. */
export function measuredEach(
  current: () => ChatModel | null,
  metrics: Metrics,
): () => ChatModel | null {
  const known = new WeakMap<ChatModel, ChatModel>();
  return () => {
    const model = current();
    if (model === null) return null;
    const before = known.get(model);
    if (before) return before;
    const now = measured(model, metrics);
    known.set(model, now);
    return now;
  };
}

/** Passes everything through as it is: an `async *` would wait with `return()` for a pending step. */
function observed(events: Events, begin: () => Observation): Events {
  // A request counts from its first `next()` on: before, nothing runs.
  let observation: Observation | null = null;
  const generator: Events = {
    next: async () => {
      const current = observation ??= begin();
      try {
        const step = await events.next();
        if (step.done) current.stopped();
        else current.event(step.value);
        return step;
      } catch (error) {
        current.failed(error);
        throw error;
      }
    },
    return: () => {
      observation?.cancelled();
      return events.return();
    },
    throw: (error) => {
      observation?.cancelled();
      return events.throw(error);
    },
    [Symbol.asyncIterator]: () => generator,
    [Symbol.asyncDispose]: async () => {
      await generator.return();
    },
  };
  return generator;
}

/** One answer, from its request on. */
class Observation {
  readonly #metrics: AnswerMetrics;
  readonly #now: () => number;
  readonly #began: number;
  #tokens = 0;
  /** When the latest tokens came; `null` before the first. */
  #latest: number | null = null;
  #settled = false;

  constructor(metrics: AnswerMetrics, now: () => number) {
    this.#metrics = metrics;
    this.#now = now;
    this.#began = now();
  }

  event(event: GenerationEvent): void {
    switch (event.type) {
      case "start":
        this.#metrics.promptTokens.add(event.promptTokens);
        this.#metrics.cachedTokens.add(event.cachedTokens);
        return this.#metrics.queueTime.observe(this.#now() - this.#began);
      case "text":
        return this.#generated(event.tokens);
      case "end":
        // Tokens that gave no text come with no event of their own.
        this.#generated(event.usage.completionTokens);
        return this.#settle(() => {
          this.#metrics.successes[event.finishReason].add();
          this.#metrics.latency.observe(this.#now() - this.#began);
        });
    }
  }

  failed(error: unknown): void {
    // It is asked again, with what was missing.
    if (error instanceof NotHeldError) return this.#settle(() => {});
    this.#settle(() => this.#metrics.failures[failureOf(error)].add());
  }

  cancelled(): void {
    this.#settle(() => this.#metrics.failures.cancelled.add());
  }

  /** Nothing more comes: an error, unless it is known already why. */
  stopped(): void {
    this.#settle(() => this.#metrics.failures.error.add());
  }

  /** Several tokens may have come at once: each then took an even share of the time. */
  #generated(tokens: number): void {
    const more = tokens - this.#tokens;
    if (more <= 0) return;
    const { generationTokens, timeToFirstToken, interTokenLatency } =
      this.#metrics;
    const now = this.#now();
    generationTokens.add(more);
    if (this.#latest === null) timeToFirstToken.observe(now - this.#began);
    else interTokenLatency.observe((now - this.#latest) / more, more);
    this.#tokens = tokens;
    this.#latest = now;
  }

  /** A request has one result. */
  #settle(count: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    count();
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof UnavailableError) return error.code;
  return error instanceof RequestError ? "invalid_request" : "error";
}
