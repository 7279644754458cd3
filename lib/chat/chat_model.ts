/**
 * What a route needs of the thing that answers chats, and nothing of how it is done: the seam
 * between HTTP and the rest. The real one is `ChatService`; route tests use a scripted one.
 *
 * @module
 */
import type { Horizon } from "../cache/horizon.ts";
import type { KvBits } from "../cache/cache_format.ts";
import type { Eviction, PolicyName, PolicyRequest } from "../cache/policy.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type {
  Resumed,
  ThreadCopy,
  ThreadEnd,
  ThreadName,
  ThreadRequest,
} from "./thread.ts";

/** One message of a chat. */
export interface ChatMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  /** Calls that the assistant made. */
  toolCalls?: ToolCall[] | undefined;
  /** The call whose result a tool's message is. */
  toolCallId?: string | undefined;
}

/** A function that the model may ask its client to call. */
export interface Tool {
  name: string;
  description?: string | undefined;
  /** JSON Schema of its arguments. */
  parameters?: Record<string, unknown> | undefined;
}

/** What the model asked its client to call. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: Record<string, unknown>;
}

/**
 * A prompt as it is, without a template: text never becomes a control token, ids do. Before a text
 * comes the token that some models expect there, unless it is to be `bare`.
 */
export type RawPrompt = { text: string; bare?: boolean } | { tokens: number[] };

/** What a prompt is made of. */
export interface PromptSource {
  messages: ChatMessage[];
  /** What the messages may have called, and the answer may call. */
  tools?: Tool[] | undefined;
  /** In place of messages, of which there are none then. */
  prompt?: RawPrompt | undefined;
}

/** A prompt as the model reads it. */
export interface EncodedPrompt {
  tokens: number[];
  /** Its text, in which control tokens cannot be told from text that looks like them. */
  text: string;
}

/** Who asks. */
export interface Client {
  /** Whose conversations and shared beginnings these are: a digest of the API key, `""` without one. */
  readonly owner: string;
  /** Who takes turns with the others in the queue: the owner, or else an address. */
  readonly id: string;
}

/** What a client asks of the model. */
export interface GenerationRequest extends PromptSource {
  client: Client;
  sampling: SamplingOptions;
  /** Most tokens to generate; `undefined` lets the model end by itself. */
  maxTokens?: number | undefined;
  /** Generation ends before the first of these strings; none of it is emitted. */
  stop: string[];
  /** How many alternatives to report for each token; `undefined` reports no log-probabilities. */
  topLogprobs?: number | undefined;
  /** What the conversation's cache keeps; `undefined` leaves it to the server. */
  policy?: PolicyRequest | undefined;
  /** What the answer's text must be; `undefined` lets it be any. */
  format?: AnswerFormat | undefined;
  /**
   * How many requests, this one included, are made at once for answers to one prompt: it is computed
   * once for all of them. Default 1.
   */
  choices?: number | undefined;
  /** Refuses a prompt, and ends an answer, that some of the cache would have to leave for. */
  refuseOverflow?: boolean | undefined;
  /** The conversation that `messages` go on with; `undefined`: they are all of it, and it ends here. */
  thread?: ThreadRequest | undefined;
}

/** What an answer's text must be. */
export interface AnswerFormat {
  /** In XGrammar's EBNF. */
  readonly grammar: string;
  /** The request's parameter that asks for it, in OpenAI's spelling. */
  readonly param: string;
}

/** Messages whose tokens are counted. */
export interface CountRequest extends Omit<PromptSource, "prompt"> {
  /** Whether they go on with a thread. */
  continued: boolean;
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
  /** What it keeps. */
  policy: PolicyName;
  /** What leaves it first. */
  evict: Eviction;
  /** Bits of an element of its rows. */
  kvBits: KvBits;
  /** Tokens that the model sees now; others may still lie in the slot, where messages leave whole. */
  held: number;
  /** Tokens ever appended. */
  seen: number;
  /** Tokens that have left the cache. */
  evicted: number;
  /** Most tokens the cache can hold (sinks + window). */
  capacity: number;
  /** Sinks among them: the first tokens, kept for ever. */
  sinks: number;
  /** Which tokens and messages the model can still see. */
  horizon: Horizon;
  /** Layers that keep fewer tokens than that (`simplayer`), ascending; none before they are known. */
  lazyLayers: readonly number[];
  /** Bytes the slot holds, from start to end. */
  bytes: number;
  /**
   * Bytes that a cache of all tokens seen would take in the server's standard precision, whatever this
   * conversation's is: what policy and precision save together.
   */
  fullBytes: number;
}

/** One step of an answer: one `start`, any number of `text`, one `end`. */
export type GenerationEvent =
  | {
    /** The request has left the queue and has its slot. */
    type: "start";
    promptTokens: number;
    /** Prompt tokens that are in the slot already and cost nothing. */
    cachedTokens: number;
    cache: CacheUsage;
    /** Where a thread was found; `null`: it begins here. */
    resumed?: Resumed | null;
  }
  | {
    type: "text";
    /** Tokens generated so far. */
    tokens: number;
    /** Whole UTF-8 characters; empty while the prompt is read, or when only log-probabilities became known. */
    text: string;
    logprobs?: (TokenLogprob & { top: TokenLogprob[] })[];
    cache: CacheUsage;
  }
  | {
    type: "end";
    finishReason: "stop" | "length";
    usage: Usage;
    /** What the thread has grown by. */
    thread?: ThreadEnd;
  };

/** What a model is at, for its operator. */
export interface ModelState {
  /** Requests that have a slot, and requests in the queue. */
  running: number;
  waiting: number;
  /** Bytes of caches by what they are for. */
  cacheBytes: {
    /** Slots of requests that run. */
    active: number;
    /** Slots of conversations that wait for their next turn. */
    idle: number;
    /** Slots of nobody. */
    free: number;
    /** Idle conversations that were moved out of their slots. */
    swapped: number;
    /** Shared beginnings. */
    shared: number;
  };
  /** Bytes of buffers on the GPU by what they are for, `null` if the model does not run on one. */
  gpuBytes: { weights: number; caches: number; scratch: number } | null;
  /** Counts since the model was loaded. */
  totals: {
    /** Tokens that left a cache. */
    evicted: number;
    swappedOut: number;
    swappedIn: number;
    /** Shared beginnings that were asked for, and those that did not have to be computed. */
    beginningsAsked: number;
    beginningsFound: number;
  };
}

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
   * @throws {UnavailableError} if it cannot be served now (queue full, waited or ran too long, …).
   * @throws {NotHeldError} before anything else if the request's thread is not in memory: ask again
   * with its log.
   */
  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void>;
  /**
   * Tokens that a request's messages take, those with which an answer begins included; of a thread,
   * those that come behind what it is.
   *
   * @throws {RequestError} if the messages cannot be read
   */
  count(request: CountRequest): Promise<number>;
  /** The cache of a thread as bytes, if it is in memory just there; else `null`. */
  copy(of: ThreadName): Promise<ThreadCopy | null>;
  /** What the model is at. */
  state(): Promise<ModelState>;
  /**
   * A prompt's tokens, which {@linkcode ChatModel.generate} would go on from.
   *
   * @param source.addGenerationPrompt whether messages end with the beginning of the answer
   * @throws {RequestError} if there is no such prompt
   */
  encode(
    source: PromptSource & { addGenerationPrompt: boolean },
  ): Promise<EncodedPrompt>;
  /**
   * The text of tokens; control tokens become their texts, bytes that are no UTF-8 become U+FFFD.
   *
   * @throws {RequestError} if a token does not exist
   */
  decode(tokens: number[]): Promise<string>;
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

/** Why a request cannot be served now. */
export type UnavailableCode =
  | "queue_full"
  | "queue_timeout"
  | "answer_timeout"
  | "model_restarted";

/** A request that this server cannot serve now but may later; the message is for the client. */
export class UnavailableError extends Error {
  override name = "UnavailableError";
  readonly code: UnavailableCode;
  /** Whole seconds after which to try again, at least 1. */
  readonly retryAfter: number;

  constructor(code: UnavailableCode, message: string, retryAfter: number) {
    super(message);
    this.code = code;
    this.retryAfter = Math.max(1, Math.ceil(retryAfter));
  }
}
