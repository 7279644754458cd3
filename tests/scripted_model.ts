/**
 * A chat model that says what it was told to: for tests of everything above the decoder.
 *
 * @module
 */
import type {
  CacheUsage,
  ChatModel,
  GenerationEvent,
  GenerationRequest,
  TokenLogprob,
} from "../lib/chat/chat_model.ts";

/** What a {@linkcode ScriptedModel} does with each request. */
export interface Script {
  id?: string;
  /** The answer, piece by piece; each counts as one token. */
  pieces?: Iterable<string>;
  /** Milliseconds before the first event: a prefill. */
  firstDelay?: number;
  /** Milliseconds before each later event. */
  delay?: number;
  /** Throws `error` instead of emitting the piece of this index. */
  failAt?: number;
  error?: Error;
  /** Leaves out the `end` event. */
  noEnd?: boolean;
  finishReason?: "stop" | "length";
  /** Capacity and sinks of the pretended cache. */
  capacity?: number;
  sinks?: number;
}

/** A model that follows a script and remembers what was done to it. */
export class ScriptedModel implements ChatModel {
  readonly id: string;
  readonly created = 1_700_000_000;
  /** Requests in the order in which they began. */
  readonly requests: GenerationRequest[] = [];
  /** Answers that were ended early by `return()`. */
  returned = 0;
  /** Answers that ran to their end, what follows the last event included. */
  finished = 0;
  /** Text and end events handed out. */
  emitted = 0;
  /** Tokens that the pretended cache has seen. */
  seen = 0;
  /** What it does; may be changed between requests. */
  script: Script;

  constructor(script: Script = {}) {
    this.script = script;
    this.id = script.id ?? "scripted/model-1";
  }

  /** Follows the script; `return()` ends a delay at once, as the real model's does. */
  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void> {
    const stop = new AbortController();
    const events = this.#play(request, stop.signal);
    const end = events.return.bind(events);
    let over = false;
    const next = events.next.bind(events);
    events.next = async () => {
      const step = await next();
      over = step.done === true;
      return step;
    };
    events.return = (value) => {
      if (!over) this.returned++;
      over = true;
      stop.abort();
      return end(value);
    };
    return events;
  }

  async *#play(
    request: GenerationRequest,
    stop: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    this.requests.push(request);
    const script = this.script;
    const promptTokens = request.messages.length * 3;
    this.seen += promptTokens;
    let tokens = 0;
    for (const text of script.pieces ?? ["Hello", ", ", "world"]) {
      await pause(tokens === 0 ? script.firstDelay : script.delay, stop);
      if (stop.aborted) return;
      if (tokens === script.failAt) throw script.error ?? new Error("script");
      tokens++;
      this.seen++;
      this.emitted++;
      yield this.#text(text, request);
    }
    if (script.noEnd) return;
    this.emitted++;
    yield {
      type: "end",
      finishReason: script.finishReason ?? "stop",
      usage: {
        promptTokens,
        cachedTokens: 1,
        completionTokens: tokens,
        cache: this.#cache(),
      },
    };
    this.finished++;
  }

  #text(text: string, { topLogprobs }: GenerationRequest): GenerationEvent {
    const event = { type: "text" as const, text, cache: this.#cache() };
    if (topLogprobs === undefined) return event;
    const others = Array.from(
      { length: topLogprobs },
      (_, i) => tokenLogprob(`${text}${i}`, i === 0 ? -0.5 : -Infinity),
    );
    return {
      ...event,
      logprobs: [{ ...tokenLogprob(text, -0.5), top: others }],
    };
  }

  #cache(): CacheUsage {
    const { capacity = 64, sinks = 4 } = this.script;
    const held = Math.min(this.seen, capacity);
    return {
      held,
      seen: this.seen,
      evicted: this.seen - held,
      capacity,
      sinks: Math.min(sinks, held),
      bytes: capacity * 23_040,
    };
  }
}

function tokenLogprob(token: string, logprob: number): TokenLogprob {
  return { token, bytes: [...new TextEncoder().encode(token)], logprob };
}

function pause(
  milliseconds: number | undefined,
  stop: AbortSignal,
): Promise<void> {
  if (!milliseconds) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stop.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
