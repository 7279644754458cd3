/** The model's events as OpenAI's objects: one completion, or the frames of a stream. @module */
import type {
  CacheUsage,
  GenerationEvent,
  TokenLogprob,
  Usage,
} from "../chat/chat_model.ts";
import type { ErrorBody } from "./errors.ts";

type StartEvent = Extract<GenerationEvent, { type: "start" }>;
type TextEvent = Extract<GenerationEvent, { type: "text" }>;
type EndEvent = Extract<GenerationEvent, { type: "end" }>;

/** OpenAI's `usage`, and the cache's state after the answer. */
export interface WireUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  everstream: WireCache;
}

/** One token of OpenAI's `logprobs.content`. */
export interface WireLogprob {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
}

/** OpenAI's `chat.completion`. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: [{
    index: 0;
    message: { role: "assistant"; content: string; refusal: null };
    logprobs: { content: WireLogprob[]; refusal: null } | null;
    finish_reason: "stop" | "length";
  }];
  usage: WireUsage;
}

/** What every object of one answer repeats. */
export interface AnswerHead {
  id: string;
  /** Unix seconds. */
  created: number;
  model: string;
}

/** The head of a new answer by the model of this id. */
export function answerHead(model: string): AnswerHead {
  return {
    id: `chatcmpl-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(Date.now() / 1000),
    model,
  };
}

/** The state of a conversation's cache, in the spelling of OpenAI's fields. */
export type WireCache = Omit<CacheUsage, "fullBytes"> & { full_bytes: number };

/** The counts of an answer in OpenAI's words. */
export function wireUsage(usage: Usage): WireUsage {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    everstream: wireCache(usage.cache),
  };
}

/** Field by field, so that what a cache tells the server besides never reaches the wire. */
export function wireCache(cache: CacheUsage): WireCache {
  const { policy, evict, held, seen, evicted, capacity, sinks, horizon } =
    cache;
  const { bytes, fullBytes } = cache;
  return {
    policy,
    evict,
    held,
    seen,
    evicted,
    capacity,
    sinks,
    horizon,
    bytes,
    full_bytes: fullBytes,
  };
}

function wireToken({ token, logprob, bytes }: TokenLogprob) {
  // JSON has no -Infinity; OpenAI's own stand-in for "never" is -9999.
  return { token, logprob: Math.max(logprob, -9999), bytes };
}

function wireLogprobs(event: TextEvent): WireLogprob[] {
  return (event.logprobs ?? []).map((token) => ({
    ...wireToken(token),
    top_logprobs: token.top.map(wireToken),
  }));
}

/** Gathers an answer's events into one `chat.completion`. */
export class CompletionBuilder {
  #text = "";
  #logprobs: WireLogprob[] = [];
  #head: AnswerHead;
  #withLogprobs: boolean;

  constructor(head: AnswerHead, withLogprobs: boolean) {
    this.#head = head;
    this.#withLogprobs = withLogprobs;
  }

  /** Adds a piece of the answer. */
  add(event: TextEvent): void {
    this.#text += event.text;
    if (this.#withLogprobs) this.#logprobs.push(...wireLogprobs(event));
  }

  /** The whole answer. */
  finish(event: EndEvent): ChatCompletion {
    const logprobs = this.#withLogprobs
      ? { content: this.#logprobs, refusal: null }
      : null;
    const { id, created, model } = this.#head;
    return {
      id,
      object: "chat.completion",
      created,
      model,
      choices: [{
        index: 0,
        message: { role: "assistant", content: this.#text, refusal: null },
        logprobs,
        finish_reason: event.finishReason,
      }],
      usage: wireUsage(event.usage),
    };
  }
}

/** What a stream's frames hold besides the text. */
export interface FrameOptions {
  /** `stream_options.include_usage`: a last chunk of usage, and `usage: null` in the others. */
  includeUsage: boolean;
  /** The cache's state in every chunk (`x-everstream-cache: 1`). */
  cacheState: boolean;
  logprobs: boolean;
}

/** Writes an answer's events as server-sent events of `chat.completion.chunk`. */
export class FrameWriter {
  #head: AnswerHead;
  #options: FrameOptions;

  constructor(head: AnswerHead, options: FrameOptions) {
    this.#head = head;
    this.#options = options;
  }

  /** The first frame: the role. */
  open(): string {
    return this.#chunk({ delta: { role: "assistant", content: "" } });
  }

  /** The frames of an event; none (`""`) for one that holds nothing for this client. */
  event(event: GenerationEvent): string {
    switch (event.type) {
      case "start":
        return this.#start(event);
      case "text":
        return this.#text(event);
      case "end":
        return this.#end(event);
    }
  }

  /** The frame of an error; nothing may follow it. */
  error(body: ErrorBody): string {
    return frame(body);
  }

  #start({ cache }: StartEvent): string {
    if (!this.#options.cacheState) return "";
    return this.#chunk({ delta: { content: "" }, cache });
  }

  #text(event: TextEvent): string {
    const logprobs = this.#options.logprobs ? wireLogprobs(event) : [];
    const { cacheState } = this.#options;
    if (event.text === "" && logprobs.length === 0 && !cacheState) return "";
    return this.#chunk({
      delta: { content: event.text },
      logprobs: logprobs.length > 0
        ? { content: logprobs, refusal: null }
        : null,
      cache: event.cache,
    });
  }

  #end(event: EndEvent): string {
    const { cache } = event.usage;
    const last = this.#chunk({
      delta: {},
      finishReason: event.finishReason,
      cache,
    });
    const usage = this.#options.includeUsage
      ? frame({
        ...this.#base(),
        choices: [],
        usage: wireUsage(event.usage),
      })
      : "";
    return `${last}${usage}data: [DONE]\n\n`;
  }

  #base() {
    const { id, created, model } = this.#head;
    return { id, object: "chat.completion.chunk", created, model };
  }

  #chunk(
    { delta, logprobs = null, finishReason = null, cache }: {
      delta: { role?: "assistant"; content?: string };
      logprobs?: { content: WireLogprob[]; refusal: null } | null;
      finishReason?: EndEvent["finishReason"] | null;
      cache?: CacheUsage;
    },
  ): string {
    const { includeUsage, cacheState } = this.#options;
    return frame({
      ...this.#base(),
      choices: [{ index: 0, delta, logprobs, finish_reason: finishReason }],
      ...(includeUsage ? { usage: null } : {}),
      ...(cacheState && cache ? { everstream: wireCache(cache) } : {}),
    });
  }
}

function frame(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
