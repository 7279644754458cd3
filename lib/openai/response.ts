/** An answer as OpenAI's response: the object, and the events of its stream. @module */
import type { GenerationEvent, Usage } from "../chat/chat_model.ts";
import type { Resumed } from "../chat/thread.ts";
import type { ResponseBody, StreamEvent } from "../store/records.ts";
import { type WireCache, wireCache } from "./completion.ts";
import type { ErrorDetails } from "./errors.ts";
import type { AnswerPart } from "../chat/tool_calls.ts";
import type { OutputItem } from "./items.ts";
import { OutputWriter } from "./response_output.ts";
import type { ResponseRequest } from "./responses_request.ts";

type EndEvent = Extract<GenerationEvent, { type: "end" }>;

/** What a response is made of from its beginning on. */
export interface ResponseHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly model: string;
  readonly request: ResponseRequest;
}

/** What a turn that has ended leaves. */
export interface ResponseEnd {
  readonly body: ResponseBody;
  readonly output: readonly OutputItem[];
  /** The last of the stream. */
  readonly event: StreamEvent;
}

/** What is ours of a response. */
interface WireEverstream {
  /** Where the conversation's cache was found; `null`: it begins here. */
  resumed: Resumed | null;
  /** Whether the response goes on from one that others go on from too: its turns are a copy then. */
  branched: boolean;
  /** The cache's state after the answer; `null` before. */
  cache: WireCache | null;
}

/** Writes one response, from its beginning to its end. Events are numbered as they are made. */
export class ResponseWriter {
  readonly #head: ResponseHead;
  readonly #output = new OutputWriter((type, fields) =>
    this.#event(type, fields)
  );
  #everstream: WireEverstream = { resumed: null, branched: false, cache: null };
  #events = 0;
  #finished = false;

  constructor(head: ResponseHead) {
    this.#head = head;
  }

  /** The response before its answer. */
  get body(): ResponseBody {
    return this.#body("in_progress", {});
  }

  /** The events with which a stream begins. */
  open(): StreamEvent[] {
    return [
      this.#event("response.created", { response: this.body }),
      this.#event("response.in_progress", { response: this.body }),
    ];
  }

  /** The answer begins. */
  begin(of: { resumed: Resumed | null; branched: boolean }): void {
    this.#everstream = { ...this.#everstream, ...of };
  }

  /** The events of a part of the answer. */
  add(part: AnswerPart): StreamEvent[] {
    return this.#output.add(part);
  }

  /** The events with which the answer ends, but for the last one. */
  close({ finishReason }: EndEvent): StreamEvent[] {
    return this.#output.end(
      finishReason === "stop" ? "completed" : "incomplete",
    );
  }

  /** The whole response. */
  finish({ finishReason, usage }: EndEvent): ResponseEnd {
    const complete = finishReason === "stop";
    const output = this.#output.items;
    this.#everstream.cache = wireCache(usage.cache);
    const body = this.#body(complete ? "completed" : "incomplete", {
      output,
      usage: wireUsage(usage),
      ...(complete
        ? { completed_at: now() }
        : { incomplete_details: { reason: "max_output_tokens" } }),
    });
    this.#finished = true;
    const type = complete ? "response.completed" : "response.incomplete";
    return { body, output, event: this.#event(type, { response: body }) };
  }

  /** The response of an answer that cannot be had, or not be kept: then it takes its end's place. */
  fail({ message }: ErrorDetails): ResponseEnd {
    if (this.#finished) this.#events--;
    const error = { code: "server_error", message };
    const body = this.#body("failed", { error });
    const event = this.#event("response.failed", { response: body });
    return { body, output: [], event };
  }

  /** The response of an answer that nobody wants any more. */
  cancel(): ResponseBody {
    return this.#body("cancelled", {});
  }

  #event(type: string, fields: Record<string, unknown>): StreamEvent {
    return { type, sequence_number: this.#events++, ...fields };
  }

  #body(status: string, changed: Record<string, unknown>): ResponseBody {
    const { id, createdAt, model, request } = this.#head;
    const { continues } = request;
    const conversation = continues && "conversation" in continues
      ? { id: continues.conversation }
      : null;
    return {
      id,
      object: "response",
      created_at: createdAt,
      status,
      background: request.background,
      completed_at: null,
      error: null,
      incomplete_details: null,
      instructions: request.instructions,
      max_output_tokens: request.maxOutputTokens,
      max_tool_calls: null,
      model,
      output: [],
      conversation,
      previous_response_id: continues && "response" in continues
        ? continues.response
        : null,
      reasoning: { effort: null, summary: null },
      service_tier: "default",
      store: request.store,
      temperature: request.temperature ?? 1,
      top_logprobs: 0,
      top_p: request.topP ?? 1,
      truncation: request.truncation,
      usage: null,
      user: request.user,
      metadata: request.metadata,
      ...request.repeated,
      access_programs: null,
      everstream: this.#everstream,
      ...changed,
    };
  }
}

function wireUsage({ promptTokens, cachedTokens, completionTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: {
      cached_tokens: cachedTokens,
      cache_write_tokens: promptTokens - cachedTokens,
    },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
