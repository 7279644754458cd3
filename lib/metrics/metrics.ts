/**
 * What is observed of answers, under the names and with the buckets that vLLM has for the same
 * things (between tokens there are finer ones too: a small model takes milliseconds for each).
 *
 * @module
 */
import type { UnavailableCode } from "../chat/chat_model.ts";
import type { Resumed } from "../chat/thread.ts";
import { Counter } from "./counter.ts";
import type { Family } from "./exposition.ts";
import { Histogram } from "./histogram.ts";
import { Metric } from "./metric.ts";

/** Why an answer did not come to its end. */
export type Failure =
  | "cancelled"
  | "error"
  | "invalid_request"
  | UnavailableCode;

/** What is observed of one model's answers; times are in seconds. */
export interface AnswerMetrics {
  promptTokens: Counter;
  cachedTokens: Counter;
  generationTokens: Counter;
  timeToFirstToken: Histogram;
  interTokenLatency: Histogram;
  latency: Histogram;
  queueTime: Histogram;
  successes: Record<"stop" | "length", Counter>;
  failures: Record<Failure, Counter>;
  resumed: Record<Resumed, Counter>;
}

// deno-fmt-ignore
const FIRST_TOKEN = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
  1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
// deno-fmt-ignore
const INTER_TOKEN = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75,
  1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
// deno-fmt-ignore
const REQUEST = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60,
  120, 240, 480, 960, 1920, 7680,
];

/** Every metric that is observed of answers, of one model or several after one another. */
export class Metrics {
  readonly #promptTokens = counter(
    "prompt_tokens_total",
    "Prompt tokens of requests that left the queue.",
  );
  readonly #cachedTokens = counter(
    "prompt_tokens_cached_total",
    "Those of the prompt tokens that were in a cache already.",
  );
  readonly #generationTokens = counter(
    "generation_tokens_total",
    "Tokens generated.",
  );
  readonly #timeToFirstToken = histogram(
    "time_to_first_token_seconds",
    "Seconds from a request to its first token, the queue included.",
    FIRST_TOKEN,
  );
  readonly #interTokenLatency = histogram(
    "inter_token_latency_seconds",
    "Seconds between a request's tokens.",
    INTER_TOKEN,
  );
  readonly #latency = histogram(
    "e2e_request_latency_seconds",
    "Seconds from a request to the end of its answer, of answers that came to it.",
    REQUEST,
  );
  readonly #queueTime = histogram(
    "request_queue_time_seconds",
    "Seconds that a request waited in the queue, of those that left it.",
    REQUEST,
  );
  readonly #successes = counter(
    "request_success_total",
    "Answers that came to their end, by why they ended.",
  );
  readonly #failures = counter(
    "request_failure_total",
    "Requests whose answer did not come to its end: cancelled by the client, failed, or refused and why.",
  );
  readonly #resumed = counter(
    "turns_resumed_total",
    "Turns that went on with a conversation, by where its cache was: in its slot, moved out of it " +
      "(memory), in a snapshot, or nowhere, so that its log was computed again (replay).",
  );

  /** The series of a model, all of them from zero on. */
  of(model: string): AnswerMetrics {
    const labels = { model_name: model };
    const success = (finished_reason: string) =>
      this.#successes.at({ ...labels, finished_reason });
    const failure = (reason: Failure) =>
      this.#failures.at({ ...labels, reason });
    const resumed = (from: Resumed) => this.#resumed.at({ ...labels, from });
    return {
      promptTokens: this.#promptTokens.at(labels),
      cachedTokens: this.#cachedTokens.at(labels),
      generationTokens: this.#generationTokens.at(labels),
      timeToFirstToken: this.#timeToFirstToken.at(labels),
      interTokenLatency: this.#interTokenLatency.at(labels),
      latency: this.#latency.at(labels),
      queueTime: this.#queueTime.at(labels),
      successes: { stop: success("stop"), length: success("length") },
      failures: {
        cancelled: failure("cancelled"),
        error: failure("error"),
        invalid_request: failure("invalid_request"),
        queue_full: failure("queue_full"),
        queue_timeout: failure("queue_timeout"),
        answer_timeout: failure("answer_timeout"),
        model_restarted: failure("model_restarted"),
      },
      resumed: {
        slot: resumed("slot"),
        memory: resumed("memory"),
        snapshot: resumed("snapshot"),
        replay: resumed("replay"),
      },
    };
  }

  /** All of it, for the exposition. */
  get families(): Family[] {
    return [
      this.#promptTokens,
      this.#cachedTokens,
      this.#generationTokens,
      this.#timeToFirstToken,
      this.#interTokenLatency,
      this.#latency,
      this.#queueTime,
      this.#successes,
      this.#failures,
      this.#resumed,
    ].map((metric) => metric.family);
  }
}

function counter(name: string, help: string): Metric<Counter> {
  const head = { name: `everstream:${name}`, help, type: "counter" as const };
  return new Metric(head, () => new Counter());
}

function histogram(
  name: string,
  help: string,
  bounds: readonly number[],
): Metric<Histogram> {
  const head = { name: `everstream:${name}`, help, type: "histogram" as const };
  return new Metric(head, () => new Histogram(bounds));
}
