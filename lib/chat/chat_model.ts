/**
 * What a route needs of the thing that answers chats, and nothing of how it is done: the seam
 * between HTTP and the rest. The real one is `ChatService`; route tests use a scripted one.
 *
 * @module
 */
import type { SamplingOptions } from "../sampling/options.ts";

/** One message of a chat. */
export interface ChatMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
}

/** What a client asks of the model. */
export interface GenerationRequest {
  messages: ChatMessage[];
  sampling: SamplingOptions;
  /** Most tokens to generate; `undefined` lets the model end by itself. */
  maxTokens?: number | undefined;
  /** Generation ends before the first of these strings; none of it is emitted. */
  stop: string[];
  /** How many alternatives to report for each token; `undefined` reports no log-probabilities. */
  topLogprobs?: number | undefined;
}

/** A token and its natural-log probability under the model, before sampling options. */
export interface TokenLogprob {
  token: string;
  bytes: number[];
  logprob: number;
}

/** What was counted for one answer. */
export interface Usage {
  promptTokens: number;
  /** Prompt tokens that were in the slot already and cost nothing. */
  cachedTokens: number;
  completionTokens: number;
  cache: CacheUsage;
}

/** The state of the conversation's cache after the answer. */
export interface CacheUsage {
  /** Tokens in the cache now. */
  held: number;
  /** Tokens ever appended. */
  seen: number;
  /** Tokens that have left the cache. */
  evicted: number;
  /** Most tokens the cache can hold (sinks + window). */
  capacity: number;
  /** Sinks among them: the first tokens, kept for ever. */
  sinks: number;
  /** Bytes the slot holds, from start to end. */
  bytes: number;
}

/** One step of an answer. */
export type GenerationEvent =
  | {
    type: "text";
    /** Whole UTF-8 characters; empty while the prompt is read, or when only log-probabilities became known. */
    text: string;
    logprobs?: (TokenLogprob & { top: TokenLogprob[] })[];
    cache: CacheUsage;
  }
  | { type: "end"; finishReason: "stop" | "length"; usage: Usage };

/** A loaded model that answers chats. */
export interface ChatModel {
  /** The id by which clients name it. */
  readonly id: string;
  /** Unix seconds at which it was loaded. */
  readonly created: number;
  /**
   * Answers one request. Nothing runs before the first `next()`; ending the iteration early
   * (`return()`, or `break` in a `for await`) stops generation and frees the slot within one step,
   * also while a `next()` is pending, which then is `done`. A plain `async *` does not do that: see
   * `cancellable`. After `end`, one more `next()` finishes the answer.
   *
   * @throws {RequestError} if the request cannot be served (too many sinks, unknown token, …).
   */
  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void>;
}

/** A request that this server cannot serve as asked; the message is for the client. */
export class RequestError extends Error {
  override name = "RequestError";
  /** The request's parameter at fault, in OpenAI's spelling. */
  readonly param: string | null;

  constructor(message: string, param: string | null = null) {
    super(message);
    this.param = param;
  }
}
