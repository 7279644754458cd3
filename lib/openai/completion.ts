/**
 * An answer's events as OpenAI's objects: one object, or the frames of a stream. What the endpoints'
 * choices look like is for their {@linkcode ChoiceWriter}s to say.
 *
 * @module
 */
import type { CacheUsage, ToolCall, Usage } from "../chat/chat_model.ts";
import type {
  AnswerEvent,
  ChoiceEvent,
  FinishReason,
  PieceEvent,
} from "../chat/choices.ts";
import type { ErrorBody } from "./errors.ts";

type Logprobs = NonNullable<PieceEvent["logprobs"]>;

/** What an endpoint says of one choice, beside its index and finish reason. */
export interface ChoiceWriter {
  /** What a stream says first; `null` for nothing. */
  open(): object | null;
  /** What a stream says of a piece, of which nothing need be in it. */
  piece(piece: Piece): object;
  /** What a stream says last. */
  close(): object;
  /** The whole choice. */
  whole(piece: Piece): object;
}

/** Part of a choice, or all of it. */
export interface Piece {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  /** `null` if the client did not ask for them. */
  readonly logprobs: Logprobs | null;
}

/** How an endpoint writes answers. */
export interface WireFormat {
  /** What its ids begin with. */
  readonly prefix: string;
  /** Names of its objects. */
  readonly object: string;
  readonly chunk: string;
  /** Makes the writer of a choice. */
  choice(index: number): ChoiceWriter;
}

/** What of an answer the client asked for. */
export interface AnswerOptions {
  /** The model's id. */
  model: string;
  /** Choices that the answer has. */
  choices: number;
  logprobs: boolean;
  /** `stream_options.include_usage`: a last chunk of usage, and `usage: null` in the others. */
  includeUsage: boolean;
  /** The cache's state in every chunk (`x-everstream-cache: 1`). */
  cacheState: boolean;
}

/** OpenAI's `usage`, and the cache's state after the answer. */
export interface WireUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  everstream: WireCache;
}

/** The state of a conversation's cache, in the spelling of OpenAI's fields. */
export type WireCache =
  & Omit<CacheUsage, "kvBits" | "lazyLayers" | "fullBytes">
  & {
    kv_bits: CacheUsage["kvBits"];
    lazy_layers: CacheUsage["lazyLayers"];
    full_bytes: number;
  };

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
  const { kvBits, lazyLayers, bytes, fullBytes } = cache;
  return {
    policy,
    evict,
    kv_bits: kvBits,
    held,
    seen,
    evicted,
    capacity,
    sinks,
    horizon,
    lazy_layers: lazyLayers,
    bytes,
    full_bytes: fullBytes,
  };
}

/** What every object of one answer repeats. */
function answerHead(
  { prefix }: WireFormat,
  { model }: AnswerOptions,
): { id: string; created: number; model: string } {
  return {
    id: `${prefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(Date.now() / 1000),
    model,
  };
}

/** JSON has no -Infinity; OpenAI's own stand-in for "never" is -9999. */
export function wireLogprob(logprob: number): number {
  return Math.max(logprob, -9999);
}

interface Gathered {
  text: string;
  calls: ToolCall[];
  logprobs: Logprobs;
  finishReason: FinishReason | null;
}

/** Gathers an answer's events into one object. */
export class CompletionBuilder {
  readonly #format: WireFormat;
  readonly #options: AnswerOptions;
  readonly #choices: Gathered[];

  constructor(format: WireFormat, options: AnswerOptions) {
    this.#format = format;
    this.#options = options;
    this.#choices = Array.from(
      { length: options.choices },
      () => ({ text: "", calls: [], logprobs: [], finishReason: null }),
    );
  }

  /** Adds a step of the answer; gives the whole answer at its end. */
  add(event: AnswerEvent): object | null {
    if (event.type === "end") return this.#finish(event.usage);
    const choice = this.#choices[event.index]!;
    const step = event.event;
    if (step.type === "end") choice.finishReason = step.finishReason;
    if (step.type !== "text") return null;
    choice.text += step.text;
    choice.calls.push(...step.calls ?? []);
    choice.logprobs.push(...step.logprobs ?? []);
    return null;
  }

  #finish(usage: Usage): object {
    const { id, created, model } = answerHead(this.#format, this.#options);
    return {
      id,
      object: this.#format.object,
      created,
      model,
      choices: this.#choices.map(({ finishReason, ...piece }, index) => ({
        index,
        ...this.#format.choice(index).whole({
          ...piece,
          logprobs: this.#options.logprobs ? piece.logprobs : null,
        }),
        finish_reason: finishReason,
      })),
      usage: wireUsage(usage),
    };
  }
}

/** Writes an answer's events as server-sent events. */
export class FrameWriter {
  readonly #head: ReturnType<typeof answerHead>;
  readonly #format: WireFormat;
  readonly #options: AnswerOptions;
  readonly #writers: ChoiceWriter[];

  constructor(format: WireFormat, options: AnswerOptions) {
    this.#format = format;
    this.#options = options;
    this.#head = answerHead(format, options);
    this.#writers = Array.from(
      { length: options.choices },
      (_, index) => format.choice(index),
    );
  }

  /** The first frames of all choices. */
  open(): string {
    return this.#writers.map((writer, index) => {
      const fields = writer.open();
      return fields ? this.#chunk({ index, fields }) : "";
    }).join("");
  }

  /** The frames of an event; none (`""`) for one that holds nothing for this client. */
  event(event: AnswerEvent): string {
    if (event.type === "choice") return this.#step(event);
    const usage = this.#options.includeUsage
      ? frame({ ...this.#base(), choices: [], usage: wireUsage(event.usage) })
      : "";
    return `${usage}data: [DONE]\n\n`;
  }

  /** The frame of an error; nothing may follow it. */
  error(body: ErrorBody): string {
    return frame(body);
  }

  #step({ index, event }: { index: number; event: ChoiceEvent }): string {
    const writer = this.#writers[index]!;
    const { cacheState } = this.#options;
    switch (event.type) {
      case "start": {
        if (!cacheState) return "";
        const fields = writer.piece({ text: "", calls: [], logprobs: null });
        return this.#chunk({ index, fields, cache: event.cache });
      }
      case "text": {
        const { text, calls = [], logprobs = [], cache } = event;
        const told = this.#options.logprobs && logprobs.length > 0;
        if (text === "" && calls.length === 0 && !told && !cacheState) {
          return "";
        }
        const fields = writer.piece({
          text,
          calls,
          logprobs: told ? logprobs : null,
        });
        return this.#chunk({ index, fields, cache });
      }
      case "end": {
        const { finishReason, usage: { cache } } = event;
        const fields = writer.close();
        return this.#chunk({ index, fields, finishReason, cache });
      }
    }
  }

  #base() {
    const { id, created, model } = this.#head;
    return { id, object: this.#format.chunk, created, model };
  }

  #chunk(
    { index, fields, finishReason = null, cache }: {
      index: number;
      fields: object;
      finishReason?: FinishReason | null;
      cache?: CacheUsage;
    },
  ): string {
    const { includeUsage, cacheState } = this.#options;
    return frame({
      ...this.#base(),
      choices: [{ index, ...fields, finish_reason: finishReason }],
      ...(includeUsage ? { usage: null } : {}),
      ...(cacheState && cache ? { everstream: wireCache(cache) } : {}),
    });
  }
}

function frame(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
