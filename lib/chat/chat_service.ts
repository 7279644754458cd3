/**
 * Answers chats: messages → prompt → slot → tokens → text. One answer is one async generator, and
 * ending it early frees its slot.
 *
 * @module
 */
import { SinkWindow } from "../cache/sink_window.ts";
import type { Decoder } from "../decoder/decoder.ts";
import { createSampler, logprobs, type Sampler } from "../sampling/mod.ts";
import { SlotPool } from "../scheduler/slot_pool.ts";
import { StepQueue } from "../scheduler/step_queue.ts";
import type { Piece, Tokenizer } from "../text/tokenizer.ts";
import { cancellable } from "./cancellable.ts";
import {
  type CacheUsage,
  type ChatModel,
  type GenerationEvent,
  type GenerationRequest,
  RequestError,
  type TokenLogprob,
} from "./chat_model.ts";
import { ConversationLog, type Overlap } from "./conversation_log.ts";
import { StopStrings } from "./stop_strings.ts";
import { canonicalText, type ChatTemplate, piecesOf } from "./template.ts";

/** What the service is made of. */
export interface ChatParts {
  readonly id: string;
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Sinks of each conversation: a number, or the whole system block. */
  readonly sinks: number | "system";
  /** W: tokens of the window. */
  readonly window: number;
  /** Most tokens of one answer. */
  readonly maxTokens: number;
}

/** What a slot remembers between answers. */
interface Memory {
  readonly log: ConversationLog;
  readonly policy: SinkWindow;
  /** Tokens of the log that the decoder has not been given yet. */
  readonly pending: readonly number[];
}

const NOTHING: Overlap = { tokens: 0, length: 0 };

/** One answer under way. */
interface Turn {
  readonly slot: number;
  readonly log: ConversationLog;
  readonly policy: SinkWindow;
  readonly signal: AbortSignal;
}

/** The model that clients talk to. */
export class ChatService implements ChatModel {
  readonly id: string;
  readonly created = Math.floor(Date.now() / 1000);
  readonly #parts: ChatParts;
  readonly #slots: SlotPool<Memory>;
  readonly #steps: StepQueue;

  constructor(parts: ChatParts) {
    this.id = parts.id;
    this.#parts = parts;
    this.#slots = new SlotPool(parts.decoder.slots);
    this.#steps = new StepQueue(parts.decoder);
  }

  /** Slots that answer now, and requests in line. */
  get load(): { busy: number; waiting: number } {
    return { busy: this.#slots.busy, waiting: this.#slots.waiting };
  }

  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void> {
    return cancellable((signal) => this.#answer(request, signal));
  }

  async *#answer(
    request: GenerationRequest,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    const { template, tokenizer } = this.#parts;
    const pieces = template.render(request.messages, {
      addGenerationPrompt: true,
    });
    const prompt = canonicalText(pieces);
    const sampler = this.#sampler(request, pieces);
    const policy = this.#policy(request);

    const overlap = (memory: Memory) =>
      memory.policy.sinks === policy.sinks
        ? memory.log.overlap(
          prompt,
          memory.log.tokens <= memory.policy.capacity,
        )
        : NOTHING;
    // What is kept less what is forgotten: all chats begin alike, and one that shares no more than
    // that with another must not take its slot.
    const lease = await this.#slots.acquire(
      (memory) => 2 * overlap(memory).tokens - memory.log.tokens,
      signal,
    );
    const { slot, memory } = lease;
    const log = memory?.log ?? new ConversationLog(tokenizer);
    const turn: Turn = { slot, log, policy, signal };
    let last: number | null = null;
    try {
      const kept = memory ? overlap(memory) : NOTHING;
      const tokens = this.#resume(slot, memory, policy, kept);
      log.rewind(kept);
      for (const id of log.appendPrompt(piecesOf(prompt.slice(kept.length)))) {
        tokens.push(id);
      }
      const promptTokens = log.tokens;

      let logits = yield* this.#prefill(turn, tokens);
      const answer = new Answer(request, this.#parts, turn);
      for (;;) {
        last = sampler.sample(logits);
        sampler.accept(last);
        const ended = answer.take(last, logits);
        const event = answer.event(this.#cache(turn));
        if (event) yield event;
        if (ended) break;
        logits = await this.#step(turn, [last], 1);
      }
      yield {
        type: "end",
        finishReason: answer.finishReason,
        usage: {
          promptTokens,
          cachedTokens: kept.tokens,
          completionTokens: answer.tokens,
          cache: this.#cache(turn),
        },
      };
    } finally {
      lease.release(this.#remember(turn, last));
    }
  }

  /** What the slot remembers: nothing if its cache lacks more of the log than the last token. */
  #remember(turn: Turn, last: number | null): Memory | null {
    const { log, policy, slot } = turn;
    const missing = log.tokens - this.#parts.decoder.seen(slot);
    if (missing === 0) return { log, policy, pending: [] };
    return missing === 1 && last !== null
      ? { log, policy, pending: [last] }
      : null;
  }

  /** Brings the slot to where the prompt goes on; gives what it still has to be given. */
  #resume(
    slot: number,
    memory: Memory | null,
    policy: SinkWindow,
    kept: { tokens: number },
  ): number[] {
    const { decoder } = this.#parts;
    if (!memory || kept.tokens === 0) {
      decoder.open(slot, policy);
      return [];
    }
    if (kept.tokens === memory.log.tokens) return [...memory.pending];
    decoder.rewind(slot, kept.tokens);
    return [];
  }

  /** Appends the prompt chunk by chunk, telling how the cache fills; gives the last logits. */
  async *#prefill(
    turn: Turn,
    tokens: readonly number[],
  ): AsyncGenerator<GenerationEvent, Float32Array, void> {
    const { decoder } = this.#parts;
    if (tokens.length === 0) {
      throw new RequestError(
        "The messages hold no text that the model knows",
        "messages",
      );
    }
    for (let at = 0;;) {
      const limit = Math.min(
        decoder.chunk,
        turn.policy.chunkLimit(decoder.seen(turn.slot)),
      );
      const chunk = tokens.slice(at, at + limit);
      at += chunk.length;
      if (at === tokens.length) return await this.#step(turn, chunk, 1);
      await this.#step(turn, chunk, 0);
      yield { type: "text", text: "", cache: this.#cache(turn) };
    }
  }

  async #step(
    turn: Turn,
    tokens: readonly number[],
    logits: number,
  ): Promise<Float32Array> {
    const result = await this.#steps.run(
      { slot: turn.slot, tokens, logits },
      turn.signal,
    );
    turn.signal.throwIfAborted();
    return result;
  }

  #sampler(request: GenerationRequest, prompt: readonly Piece[]): Sampler {
    const { decoder, tokenizer } = this.#parts;
    try {
      const sampler = createSampler(request.sampling, decoder.vocabulary);
      // The whole prompt, whatever part of it a slot still holds: same prompt, same answer.
      if ((request.sampling.repetitionPenalty ?? 1) !== 1) {
        sampler.observePrompt(tokenizer.encodePieces(prompt));
      }
      return sampler;
    } catch (error) {
      if (error instanceof RangeError) throw new RequestError(error.message);
      throw error;
    }
  }

  #policy(request: GenerationRequest): SinkWindow {
    const { sinks, window, decoder, template, tokenizer } = this.#parts;
    if (sinks !== "system") return new SinkWindow(sinks, window);
    const block: Piece[] = template.renderSystemBlock(request.messages) ?? [];
    const count = tokenizer.encodePieces(block).length;
    if (count > decoder.room.sinks) {
      throw new RequestError(
        `The system message takes ${count} tokens, and this server pins at most ` +
          `${decoder.room.sinks} (EVERSTREAM_SINKS): shorten it`,
        "messages",
      );
    }
    return new SinkWindow(count, window);
  }

  #cache(turn: Turn): CacheUsage {
    const { decoder } = this.#parts;
    const seen = decoder.seen(turn.slot);
    const { policy } = turn;
    return {
      held: policy.held(seen),
      seen,
      evicted: policy.evicted(seen),
      capacity: policy.capacity,
      sinks: policy.sinks,
      bytes: decoder.slotBytes,
    };
  }
}

/** The text of one answer: what of it may be shown, and when it ends. */
class Answer {
  readonly #request: GenerationRequest;
  readonly #parts: ChatParts;
  readonly #log: ConversationLog;
  readonly #stops: StopStrings;
  readonly #most: number;
  #text = "";
  #logprobs: (TokenLogprob & { top: TokenLogprob[] })[] = [];
  tokens = 0;
  finishReason: "stop" | "length" = "stop";

  constructor(request: GenerationRequest, parts: ChatParts, turn: Turn) {
    this.#request = request;
    this.#parts = parts;
    this.#log = turn.log;
    this.#stops = new StopStrings(request.stop);
    this.#most = Math.min(request.maxTokens ?? Infinity, parts.maxTokens);
  }

  /** Takes the next token; says whether, and how, it ends the answer. */
  take(
    token: number,
    logits: Float32Array,
  ): "end-token" | "stop-string" | "length" | null {
    this.tokens++;
    if (this.#parts.tokenizer.endIds.has(token)) {
      this.#finish();
      return "end-token";
    }
    const { topLogprobs } = this.#request;
    if (topLogprobs !== undefined) {
      this.#logprobs.push(this.#describe(token, logits, topLogprobs));
    }
    const { text, stopped } = this.#stops.push(this.#log.appendToken(token));
    this.#text += text;
    if (stopped) return "stop-string";
    if (this.tokens < this.#most) return null;
    this.finishReason = "length";
    this.#finish();
    return "length";
  }

  /** What became known since the last event, if anything. */
  event(cache: CacheUsage): GenerationEvent | null {
    if (this.#text === "" && this.#logprobs.length === 0) return null;
    const event: GenerationEvent = {
      type: "text",
      text: this.#text,
      cache,
      ...(this.#logprobs.length > 0 ? { logprobs: this.#logprobs } : {}),
    };
    this.#text = "";
    this.#logprobs = [];
    return event;
  }

  #finish(): void {
    const { text, stopped } = this.#stops.push(this.#log.endAnswer());
    this.#text += text;
    if (stopped) this.finishReason = "stop";
    else this.#text += this.#stops.end();
  }

  #describe(
    token: number,
    logits: Float32Array,
    count: number,
  ): TokenLogprob & { top: TokenLogprob[] } {
    const { logprob, top } = logprobs(logits, token, count);
    const name = (id: number, logprob: number): TokenLogprob => {
      const bytes = this.#parts.tokenizer.bytes(id);
      return {
        token: new TextDecoder().decode(bytes),
        bytes: [...bytes],
        logprob,
      };
    };
    return {
      ...name(token, logprob),
      top: top.map((t) => name(t.token, t.logprob)),
    };
  }
}
