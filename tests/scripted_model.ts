/**
 * A chat model that says what it was told to: for tests of everything above the decoder.
 *
 * @module
 */
import { visibleMessages } from "../lib/cache/horizon.ts";
import type {
  CacheUsage,
  ChatModel,
  CountRequest,
  EncodedPrompt,
  GenerationEvent,
  GenerationRequest,
  ModelState,
  PromptSource,
  TokenLogprob,
} from "../lib/chat/chat_model.ts";

/** What a {@linkcode ScriptedModel} does with each request. */
export interface Script {
  id?: string;
  /** The answer, piece by piece. */
  pieces?: Iterable<string>;
  /** Tokens that each piece counts as; default 1. */
  pieceTokens?: number;
  /** Milliseconds in the queue, before the `start` event. */
  queueDelay?: number;
  /** Throws this instead of starting. */
  refusal?: Error;
  /** Milliseconds before the first piece: a prefill. */
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
  /** What the model says of itself, but for its requests, which are counted. */
  state?: Partial<Pick<ModelState, "cacheBytes" | "gpuBytes" | "totals">>;
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
  #waiting = 0;
  #running = 0;

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

  count({ messages }: CountRequest): Promise<number> {
    return Promise.resolve(messages.length * 3);
  }

  copy(): Promise<null> {
    return Promise.resolve(null);
  }

  state(): Promise<ModelState> {
    return Promise.resolve({
      running: this.#running,
      waiting: this.#waiting,
      cacheBytes: { active: 0, idle: 0, free: 0, swapped: 0, shared: 0 },
      gpuBytes: null,
      totals: {
        evicted: 0,
        swappedOut: 0,
        swappedIn: 0,
        beginningsAsked: 0,
        beginningsFound: 0,
      },
      ...this.script.state,
    });
  }

  /** A token is a UTF-16 unit, and a message its role and content on a line. */
  encode(
    { messages, prompt, addGenerationPrompt }: PromptSource & {
      addGenerationPrompt: boolean;
    },
  ): Promise<EncodedPrompt> {
    const text = prompt && "text" in prompt
      ? prompt.text
      : messages.map(({ role, content }) => `${role}: ${content}\n`).join("") +
        (addGenerationPrompt ? "assistant: " : "");
    const tokens = Array.from(text, (unit) => unit.charCodeAt(0));
    return Promise.resolve({ tokens, text });
  }

  decode(tokens: number[]): Promise<string> {
    return Promise.resolve(String.fromCharCode(...tokens));
  }

  async *#play(
    request: GenerationRequest,
    stop: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    this.requests.push(request);
    this.#waiting++;
    try {
      await pause(this.script.queueDelay, stop);
    } finally {
      this.#waiting--;
    }
    if (stop.aborted) return;
    if (this.script.refusal) throw this.script.refusal;
    this.#running++;
    try {
      yield* this.#answer(request, stop);
    } finally {
      this.#running--;
    }
  }

  async *#answer(
    request: GenerationRequest,
    stop: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    const script = this.script;
    const promptTokens = request.prompt ? 3 : request.messages.length * 3;
    const counts = { promptTokens, cachedTokens: 1 };
    yield { type: "start", ...counts, cache: this.#cache() };
    this.seen += promptTokens;
    let pieces = 0;
    let tokens = 0;
    for (const text of script.pieces ?? ["Hello", ", ", "world"]) {
      await pause(pieces === 0 ? script.firstDelay : script.delay, stop);
      if (stop.aborted) return;
      if (pieces === script.failAt) throw script.error ?? new Error("script");
      pieces++;
      tokens += script.pieceTokens ?? 1;
      this.seen += script.pieceTokens ?? 1;
      this.emitted++;
      yield this.#text({ tokens, text }, request);
    }
    if (script.noEnd) return;
    this.emitted++;
    yield {
      type: "end",
      finishReason: script.finishReason ?? "stop",
      usage: { ...counts, completionTokens: tokens, cache: this.#cache() },
    };
    this.finished++;
  }

  #text(
    piece: { tokens: number; text: string },
    { topLogprobs }: GenerationRequest,
  ): GenerationEvent {
    const { text } = piece;
    const event = { type: "text" as const, ...piece, cache: this.#cache() };
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
    const position = Math.max(
      Math.min(sinks, held),
      this.seen - capacity + sinks,
    );
    return {
      policy: "sink-window",
      evict: "token",
      kvBits: 32,
      held,
      seen: this.seen,
      evicted: this.seen - held,
      capacity,
      sinks: Math.min(sinks, held),
      horizon: {
        position,
        // It knows of no template: all is one message.
        messages: visibleMessages([], { seen: this.seen, sinks, position }),
      },
      lazyLayers: [],
      bytes: capacity * 23_040,
      fullBytes: this.seen * 23_040,
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
