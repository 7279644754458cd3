/**
 * OpenTelemetry, by what Deno has of it: spans of an answer's phases under its request's span. This
 * module alone loads the API, and only where `OTEL_DENO` is on.
 *
 * @module
 */
import type { Span } from "@opentelemetry/api";
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { GenerationEvent } from "../chat/chat_model.ts";
import { toApiError } from "../openai/errors.ts";
import type { AnswerObserver, Observe } from "./observed_model.ts";

/** What makes spans. */
export interface Tracing {
  /** Spans for queue, prefill and decode of each answer. */
  readonly observe: Observe;
  /** Gives the span that Deno makes of a request the name of its route. */
  readonly nameRequest: MiddlewareHandler;
}

type Phase = "queue" | "prefill" | "decode";

/** Loads OpenTelemetry's API, which Deno has filled in. */
export async function openTracing(): Promise<Tracing> {
  const { context, SpanStatusCode, trace } = await import("@opentelemetry/api");
  const tracer = trace.getTracer("everstream");
  return {
    observe: ({ id }) => () => {
      // Events come in any context: the request's is that of the answer's begin.
      const request = context.active();
      const attributes = { "gen_ai.response.model": id };
      return new TracedAnswer({
        start: (phase) => tracer.startSpan(phase, { attributes }, request),
        failed: { code: SpanStatusCode.ERROR },
      });
    },
    nameRequest: async (c, next) => {
      const span = trace.getActiveSpan();
      await next();
      const route = routePath(c);
      span?.updateName(`${c.req.method} ${route}`).setAttribute(
        "http.route",
        route,
      );
    },
  };
}

/** How phases become spans. */
interface PhaseSpans {
  start(phase: Phase): Span;
  /** The status of one that failed. */
  failed: Parameters<Span["setStatus"]>[0];
}

/** Each phase ends as the next one begins. */
class TracedAnswer implements AnswerObserver {
  readonly #spans: PhaseSpans;
  #span: Span | null;
  #decoding = false;

  constructor(spans: PhaseSpans) {
    this.#spans = spans;
    this.#span = spans.start("queue");
  }

  event(event: GenerationEvent): void {
    switch (event.type) {
      case "start":
        return this.#enter("prefill", {
          "gen_ai.usage.input_tokens": event.promptTokens,
          "gen_ai.usage.cache_read.input_tokens": event.cachedTokens,
        });
      case "text":
        if (event.tokens > 0 && !this.#decoding) this.#decode();
        return;
      case "end":
        // An answer of nothing but an end token has no text.
        if (!this.#decoding) this.#decode();
        this.#span?.setAttributes({
          "gen_ai.usage.output_tokens": event.usage.completionTokens,
          "gen_ai.response.finish_reasons": [event.finishReason],
        });
        this.#end();
    }
  }

  failed(error: unknown): void {
    const { code } = toApiError(error).body.error;
    this.#span?.setStatus(this.#spans.failed);
    this.#span?.setAttribute("error.type", code ?? "unknown");
    this.#end();
  }

  cancelled(): void {
    this.#span?.setAttribute("error.type", "cancelled");
    this.#end();
  }

  stopped(): void {
    this.#end();
  }

  #decode(): void {
    this.#decoding = true;
    this.#enter("decode", {});
  }

  #enter(phase: Phase, attributes: Record<string, number>): void {
    this.#span?.end();
    this.#span = this.#spans.start(phase).setAttributes(attributes);
  }

  #end(): void {
    this.#span?.end();
    this.#span = null;
  }
}
