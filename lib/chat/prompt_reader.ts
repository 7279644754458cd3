/** From a request to a prompt: what is rendered, which cache it asks for, and who samples. @module */
import {
  formatOf,
  hasSinks,
  type Policy,
  type PolicyRequest,
} from "../cache/policy.ts";
import { createSampler, type Sampler } from "../sampling/mod.ts";
import type { Piece } from "../text/tokenizer.ts";
import type { CacheLanes } from "./cache_lane.ts";
import { type GenerationRequest, RequestError } from "./chat_model.ts";
import type { ChatParts } from "./chat_parts.ts";
import { ConversationLog, isJoint } from "./conversation_log.ts";
import { pauses } from "./pauses.ts";
import { policyFor, threadPolicy } from "./policies.ts";
import { readPieces, readPiecesBehind } from "./prompts.ts";
import { canonicalText } from "./template.ts";
import type { ThreadRequest } from "./thread.ts";
import type { Memory, Prompt } from "./turn.ts";

/** Reads requests. */
export class PromptReader {
  readonly #parts: ChatParts;
  readonly #lanes: CacheLanes<Memory>;

  constructor(parts: ChatParts, lanes: CacheLanes<Memory>) {
    this.#parts = parts;
    this.#lanes = lanes;
  }

  /** Renders a request's messages and makes what it needs beside a slot. */
  async read(
    request: GenerationRequest,
    signal: AbortSignal,
  ): Promise<Prompt> {
    const { template } = this.#parts;
    const thread = request.thread ?? null;
    if (thread?.from) return await this.#readFurther(request, thread, signal);
    const { choices = 1, messages, tools, prompt } = request;
    const pieces = readPieces(request, this.#parts, {
      addGenerationPrompt: true,
    });
    const text = canonicalText(pieces);
    const block =
      template.renderSystemBlock(messages, { rendered: text, tools }) ?? [];
    const { length } = canonicalText(block);
    const policy = await this.#policy(request.policy ?? {}, block, signal);
    const lane = this.#lanes.of(formatOf(policy));
    const { slots } = lane.decoder;
    if (choices > slots) {
      throw new RequestError(
        `The request is for ${choices} answers at once, and this server has ${slots} ` +
          `slots: ask for fewer`,
        "n",
      );
    }
    const ids = prompt && "tokens" in prompt ? prompt.tokens : null;
    const whole = choices > 1;
    return {
      thread,
      text,
      block: isJoint(text, length) ? length : 0,
      tokens: ids,
      param: prompt ? "prompt" : "messages",
      shared: {
        whole,
        key: JSON.stringify(whole ? ids ?? [text] : text.slice(0, length)),
      },
      policy,
      lane,
      sampler: await this.#sampler(
        request,
        () => ids ?? this.encode(pieces, signal),
      ),
    };
  }

  /** The same for messages that go on with a thread. */
  async #readFurther(
    request: GenerationRequest,
    thread: ThreadRequest,
    signal: AbortSignal,
  ): Promise<Prompt> {
    const pieces = readPiecesBehind(request, this.#parts);
    const { fingerprint, policies } = this.#parts;
    const { formats, standard: { decoder: { room } } } = this.#lanes;
    const offer = { ...policies, model: fingerprint.model, formats, room };
    const { setup } = thread.from!;
    const policy = threadPolicy(setup, request.policy, offer);
    return {
      thread,
      text: canonicalText(pieces),
      block: 0,
      tokens: null,
      param: "messages",
      shared: { whole: false, key: "" },
      policy,
      lane: this.#lanes.of(formatOf(policy)),
      sampler: await this.#sampler(
        request,
        () => this.encode(pieces, signal),
      ),
    };
  }

  async #sampler(
    request: GenerationRequest,
    prompt: () => readonly number[] | Promise<readonly number[]>,
  ): Promise<Sampler> {
    const { decoder } = this.#lanes.standard;
    let sampler: Sampler;
    try {
      const options = { ...request.sampling, topLogprobs: request.topLogprobs };
      sampler = createSampler(options, decoder.vocabulary);
    } catch (error) {
      if (error instanceof RangeError) throw new RequestError(error.message);
      throw error;
    }
    // The whole prompt, whatever part of it a slot still holds: same prompt, same answer.
    if ((request.sampling.repetitionPenalty ?? 1) !== 1) {
      sampler.observePrompt(await prompt());
    }
    return sampler;
  }

  async #policy(
    request: PolicyRequest,
    block: readonly Piece[],
    signal: AbortSignal,
  ): Promise<Policy> {
    const { sinks, window, policies } = this.#parts;
    const { formats, standard: { decoder: { room } } } = this.#lanes;
    const offer = { ...policies, window, formats, room };
    const choose = (sinks: number) => policyFor(request, { ...offer, sinks });
    const chosen = choose(sinks === "system" ? 0 : sinks);
    const pinned = sinks === "system" && request.sinks === undefined &&
      hasSinks(chosen.name);
    if (!pinned) return chosen;
    const { length } = await this.encode(block, signal);
    if (length > room.sinks) {
      throw new RequestError(
        `The system message takes ${length} tokens, and this server pins at most ` +
          `${room.sinks} (EVERSTREAM_SINKS): shorten it`,
        "messages",
      );
    }
    return choose(length);
  }

  /** Tokens of a prompt, with turns of the event loop between. */
  async encode(
    pieces: readonly Piece[],
    signal: AbortSignal,
  ): Promise<number[]> {
    const log = new ConversationLog(this.#parts.tokenizer);
    return await log.appendPrompt(pieces, pauses(signal));
  }
}
