/** What is counted of each answer. @module */
import {
  type GenerationEvent,
  RequestError,
  UnavailableError,
} from "../chat/chat_model.ts";
import { NotHeldError } from "../chat/thread.ts";
import type { AnswerObserver, Observe } from "../observe/observed_model.ts";
import type { AnswerMetrics, Failure, Metrics } from "./metrics.ts";

/** How time is told. */
export interface MeasureOptions {
  /** Seconds since whenever. */
  now?: () => number;
}

/** Counts each answer in `metrics`, under the name of its model. */
export function measure(
  metrics: Metrics,
  { now = () => performance.now() / 1000 }: MeasureOptions = {},
): Observe {
  return ({ id }) => {
    const series = metrics.of(id);
    return () => new Observation(series, now);
  };
}

/** One answer, from its request on. */
class Observation implements AnswerObserver {
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
        if (event.resumed) this.#metrics.resumed[event.resumed].add();
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
