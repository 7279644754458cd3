/**
 * Answers chats: messages → prompt → slot → tokens → text. One answer is one async generator, and
 * ending it early frees its slot.
 *
 * @module
 */
import { firstFrom } from "../cache/ascending.ts";
import {
  type Eviction,
  formatOf,
  hasSinks,
  type Policy,
  type PolicyName,
  type PolicyRequest,
  samePolicy,
} from "../cache/policy.ts";
import { snapshotToBytes } from "../decoder/snapshot_bytes.ts";
import { Grammars, grammarVocabulary } from "../grammar/mod.ts";
import { createSampler, type Sample, type Sampler } from "../sampling/mod.ts";
import { eventLoop } from "../scheduler/event_loop.ts";
import type { PrefillOptions } from "../scheduler/scheduler.ts";
import type { Lease } from "../scheduler/slot_pool.ts";
import type { Piece, Tokenizer } from "../text/tokenizer.ts";
import { Answer } from "./answer.ts";
import type { Beginning } from "./beginnings.ts";
import { type CacheLane, CacheLanes, type ModelCache } from "./cache_lane.ts";
import { boundariesOf, cacheUsage } from "./cache_usage.ts";
import { cancellable } from "./cancellable.ts";
import {
  type CacheUsage,
  type ChatModel,
  type CountRequest,
  type EncodedPrompt,
  type GenerationEvent,
  type GenerationRequest,
  type ModelState,
  type PromptSource,
  RequestError,
} from "./chat_model.ts";
import { checkFormat, type Choice, chooseWithin } from "./formats.ts";
import { ConversationLog, isJoint, type Overlap } from "./conversation_log.ts";
import { Deadline } from "./deadline.ts";
import { policyFor, threadPolicy } from "./policies.ts";
import { piecesOfTokens, readPieces, textOfPieces } from "./prompts.ts";
import { canonicalText, type ChatTemplate, piecesOf } from "./template.ts";
import {
  keyOf,
  NotHeldError,
  type Resumed,
  type Run,
  setupOf,
  type ThreadBase,
  type ThreadCopy,
  type ThreadEnd,
  type ThreadName,
  type ThreadRequest,
} from "./thread.ts";
import { type Restored, restoreThread } from "./thread_cache.ts";

/** Bounds of what a service takes upon itself. */
export interface ServiceLimits {
  /** Most tokens of one answer. */
  readonly maxTokens: number;
  /** Most requests that wait for a slot, of each kind of cache. */
  readonly queue: number;
  /** Milliseconds that a request waits for a slot at most. */
  readonly queueTimeout: number;
  /** Milliseconds that an answer takes at most, once it has its slot. */
  readonly answerTimeout: number;
  /** Most bytes of idle conversations moved out of their slots. */
  readonly swapBytes: number;
  /** Most bytes of shared beginnings. */
  readonly sharedBytes: number;
}

/** What the service is made of. */
export interface ChatParts {
  readonly id: string;
  /** The kinds of caches that there are, with the same room; the first is the standard. */
  readonly caches: readonly ModelCache[];
  /** Hash of the model's file, and what the rows of its caches are: what a snapshot must fit. */
  readonly fingerprint: { readonly model: string; readonly precision: string };
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Sinks of each conversation: a number, or the whole system block. */
  readonly sinks: number | "system";
  /** W: tokens of the window. */
  readonly window: number;
  /** What conversations may keep, and what they do if a request does not say. */
  readonly policies: {
    readonly standard: PolicyName;
    readonly allowed: readonly PolicyName[];
    readonly evict: Eviction;
  };
  readonly limits: ServiceLimits;
}

/** A conversation between its answers. */
interface Memory {
  readonly owner: string;
  /** Of a thread; `null`: it is known by its text. */
  readonly state: string | null;
  readonly log: ConversationLog;
  readonly policy: Policy;
  /** Tokens of the log that the decoder has not been given yet. */
  readonly pending: readonly number[];
}

const NOTHING: Overlap = { tokens: 0, length: 0 };

/** What a request comes to before it has a slot. */
interface Prompt {
  readonly thread: ThreadRequest | null;
  /** Canonical text of it all; of a thread, of what is new. */
  readonly text: string;
  /** UTF-16 units of it that are the system block; 0 if there is none. */
  readonly block: number;
  /** Its tokens, where they were given; else they are the text's. */
  readonly tokens: readonly number[] | null;
  /** The request's parameter that it is from. */
  readonly param: "messages" | "prompt";
  /** Names its beginning among those that are shared: all of it but the last token, or the block. */
  readonly shared: { readonly whole: boolean; readonly key: string };
  readonly policy: Policy;
  /** Where such caches are. */
  readonly lane: CacheLane<Memory>;
  readonly sampler: Sampler;
}

/** One answer under way. */
interface Turn extends Prompt {
  readonly owner: string;
  readonly slot: number;
  readonly log: ConversationLog;
  readonly signal: AbortSignal;
  /** What of the prompt the slot had already. */
  readonly kept: Overlap;
  /** Tokens that the slot needs before the rest of the prompt. */
  readonly pending: readonly number[];
  /** What the log was when the turn began. */
  readonly base: {
    readonly tokens: number;
    readonly starts: readonly number[];
  };
  /** Where a thread was found; `null`: the conversation begins here, or is no thread. */
  readonly resumed: Resumed | null;
  /** What of a thread must be computed again first, run by run. */
  readonly replay: readonly (readonly number[])[];
  /** Tokens that the turn has added to the log. */
  readonly added: number[];
  /** Sizes of the prompt's runs. */
  readonly runs: number[];
}

/** The model that clients talk to. */
export class ChatService implements ChatModel {
  readonly id: string;
  readonly created = Math.floor(Date.now() / 1000);
  readonly #parts: ChatParts;
  readonly #lanes: CacheLanes<Memory>;
  readonly #grammars: Grammars;
  #evicted = 0;

  constructor(parts: ChatParts) {
    this.id = parts.id;
    this.#parts = parts;
    this.#lanes = new CacheLanes(parts.caches, parts.limits);
    const { vocabulary } = parts.caches[0]!.decoder;
    this.#grammars = new Grammars(() =>
      grammarVocabulary(parts.tokenizer, vocabulary)
    );
  }

  /** Requests that have a slot, and requests in the queue. */
  get load(): { running: number; waiting: number } {
    return this.#lanes.load;
  }

  state(): Promise<ModelState> {
    const { totals, ...state } = this.#lanes.state;
    const evicted = this.#evicted;
    return Promise.resolve({ ...state, totals: { ...totals, evicted } });
  }

  /** Ends the threads of formats' grammars. */
  close(): void {
    this.#grammars.close();
  }

  async count({ messages, continued }: CountRequest): Promise<number> {
    const { template } = this.#parts;
    const pieces = continued
      ? template.renderBehind(messages)
      : template.render(messages, { addGenerationPrompt: true });
    const ids = await this.#encode(pieces, new AbortController().signal);
    return ids.length;
  }

  async copy({ owner, state }: ThreadName): Promise<ThreadCopy | null> {
    const { model, precision } = this.#parts.fingerprint;
    for (const { slots } of this.#lanes.all) {
      const kept = slots.copy((memory) =>
        memory.owner === owner && memory.state === state ? 1 : 0
      );
      if (!kept) continue;
      return {
        key: keyOf(setupOf(model, kept.memory.policy), precision),
        bytes: await snapshotToBytes(kept.snapshot),
      };
    }
    return null;
  }

  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void> {
    return cancellable((signal) => this.#answer(request, signal));
  }

  async encode(
    { addGenerationPrompt, ...source }: PromptSource & {
      addGenerationPrompt: boolean;
    },
  ): Promise<EncodedPrompt> {
    const { prompt } = source;
    const pieces = readPieces(source, this.#parts, { addGenerationPrompt });
    const { signal } = new AbortController();
    return {
      tokens: prompt && "tokens" in prompt
        ? prompt.tokens
        : await this.#encode(pieces, signal),
      text: textOfPieces(pieces, this.#parts.tokenizer),
    };
  }

  // deno-lint-ignore require-await -- what is thrown rejects
  async decode(tokens: number[]): Promise<string> {
    const { tokenizer } = this.#parts;
    const pieces = piecesOfTokens(tokens, { tokenizer, param: "tokens" });
    return textOfPieces(pieces, tokenizer);
  }

  async *#answer(
    request: GenerationRequest,
    cancelled: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    const prompt = await this.#readPrompt(request, cancelled);
    await checkFormat(this.#grammars, request.format, cancelled);
    const { scheduler, slots } = prompt.lane;
    const { owner, id: client } = request.client;
    const score = (memory: Memory) => this.#worth(memory, prompt, owner);
    const from = prompt.thread?.from;
    if (from && !from.log && !slots.has(score)) throw this.#notHeld(from);
    const lease = await slots.acquire({
      client,
      score,
      signal: cancelled,
    });
    const deadline = new Deadline(this.#parts.limits.answerTimeout, cancelled);
    let turn: Turn | null = null;
    let choice: Choice | null = null;
    let beginning: Beginning | null = null;
    let evicted = 0;
    let last: number | null = null;
    let failed = false;
    let complete = false;
    try {
      turn = from
        ? await this.#goOn(prompt, owner, lease, deadline.signal)
        : this.#begin(prompt, owner, lease, deadline.signal);
      evicted = this.#cache(turn).evicted;
      const tokens = await this.#appendPrompt(turn);
      beginning = await this.#findBeginning(turn, tokens.block.length);
      const promptTokens = turn.log.tokens;
      const room = roomForAnswer(
        prompt.policy,
        promptTokens,
        request.refuseOverflow,
      );
      const shared = beginning && "snapshot" in beginning;
      const cachedTokens = shared
        ? promptTokens - tokens.rest.length
        : turn.kept.tokens;
      const cache = this.#cache(turn);
      const { resumed } = turn;
      yield { type: "start", promptTokens, cachedTokens, cache, resumed };

      yield* this.#replay(turn);
      if (beginning) yield* this.#share(turn, beginning, tokens.block);
      const rest = beginning ? tokens.rest : [...tokens.block, ...tokens.rest];
      turn.runs.push(rest.length);
      const { slot, signal } = turn;
      const { format } = request;
      choice = await chooseWithin(this.#grammars, { ...turn, format }, signal);
      const { sampler } = choice;
      let sample = await choice.choose(
        yield* this.#prefill(
          turn,
          rest,
          (options) => scheduler.prefill(slot, rest, { ...options, sampler }),
        ),
      );
      const answer = new Answer(request, {
        tokenizer: this.#parts.tokenizer,
        log: turn.log,
        maxTokens: Math.min(this.#parts.limits.maxTokens, room),
      });
      for (;;) {
        last = sample.token;
        sampler.accept(last);
        const before = turn.log.tokens;
        const ended = answer.take(sample);
        if (turn.log.tokens > before) turn.added.push(last);
        const event = answer.event(this.#cache(turn));
        if (event) yield event;
        if (ended) break;
        sample = await choice.choose(
          await scheduler.step(slot, last, { sampler, signal }),
        );
        signal.throwIfAborted();
      }
      complete = true;
      yield {
        type: "end",
        ...(prompt.thread ? { thread: this.#grown(turn) } : {}),
        finishReason: answer.finishReason,
        usage: {
          promptTokens,
          cachedTokens,
          completionTokens: answer.tokens,
          cache: this.#cache(turn),
        },
      };
    } catch (error) {
      // Something is wrong with what the slot holds, or may be, unless the request was refused before
      // it changed: the next turn reads all of it anew.
      failed = !deadline.signal.aborted && !(error instanceof RequestError);
      throw error;
    } finally {
      deadline.clear();
      choice?.release();
      // An answer that ends before it computes what it claimed leaves that to others.
      if (beginning && "claim" in beginning) beginning.claim.abandon();
      if (turn) this.#evicted += this.#cache(turn).evicted - evicted;
      lease.release(
        turn && !failed
          ? turn.thread && !complete
            ? this.#takeBack(turn)
            : this.#remember(turn, last)
          : null,
      );
    }
  }

  /** Renders a request's messages and makes what it needs beside a slot. */
  async #readPrompt(
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
        () => ids ?? this.#encode(pieces, signal),
      ),
    };
  }

  /** The same for messages that go on with a thread. */
  async #readFurther(
    request: GenerationRequest,
    thread: ThreadRequest,
    signal: AbortSignal,
  ): Promise<Prompt> {
    const pieces = this.#parts.template.renderBehind(request.messages);
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
        () => this.#encode(pieces, signal),
      ),
    };
  }

  /** What an idle conversation is worth to a prompt: nothing unless it goes on with it. */
  #worth(memory: Memory, prompt: Prompt, owner: string): number {
    const { thread } = prompt;
    if (thread || memory.state !== null) {
      return memory.owner === owner && memory.state !== null &&
          memory.state === thread?.from?.state &&
          samePolicy(memory.policy, prompt.policy)
        ? 1
        : 0;
    }
    // What is kept less what is forgotten: all chats begin alike, and one that shares no more than
    // that with another must not take its slot.
    return 2 * this.#overlap(memory, prompt, owner).tokens - memory.log.tokens;
  }

  /** How far a conversation goes along with a prompt; never with another owner's. */
  #overlap(memory: Memory, prompt: Prompt, owner: string): Overlap {
    const { log, policy } = memory;
    const other = memory.owner !== owner || !samePolicy(policy, prompt.policy);
    // Tokens that were given need not be those of their text.
    if (other || prompt.tokens) return NOTHING;
    const { decoder } = prompt.lane;
    const rewindable = decoder.rewindable(policy.rows, log.tokens);
    return log.overlap(prompt.text, rewindable);
  }

  /** Brings the slot to where the prompt goes on. */
  #begin(
    prompt: Prompt,
    owner: string,
    { slot, memory }: Lease<Memory>,
    signal: AbortSignal,
  ): Turn {
    const { tokenizer, template } = this.#parts;
    const { decoder } = prompt.lane;
    const base = { tokens: 0, starts: [] };
    const turn = {
      ...prompt,
      owner,
      slot,
      signal,
      base,
      replay: [],
      added: [],
      runs: [],
      resumed: null,
    };
    const kept = memory ? this.#overlap(memory, prompt, owner) : NOTHING;
    if (!memory || kept.tokens === 0) {
      decoder.open(slot, prompt.policy.rows);
      const log = new ConversationLog(tokenizer, template.openers);
      return { ...turn, log, kept: NOTHING, pending: [] };
    }
    const { log } = memory;
    const whole = kept.tokens === log.tokens;
    if (!whole) decoder.rewind(slot, kept.tokens);
    log.rewind(kept);
    return { ...turn, log, kept, pending: whole ? memory.pending : [] };
  }

  /** Brings the slot to where a thread goes on. */
  async #goOn(
    prompt: Prompt,
    owner: string,
    { slot, swapped, memory }: Lease<Memory>,
    signal: AbortSignal,
  ): Promise<Turn> {
    const from = prompt.thread!.from!;
    const of = { ...prompt, owner, slot, signal, added: [], runs: [] };
    const found = memory
      ? {
        resumed: swapped ? "memory" as const : "slot" as const,
        base: memory.log,
        replay: [],
        pending: memory.pending,
      }
      : await this.#restore(slot, prompt, from);
    const { tokens, starts } = found.base;
    const { tokenizer, template } = this.#parts;
    const { decoder } = prompt.lane;
    return {
      ...of,
      base: { tokens, starts },
      log: new ConversationLog(tokenizer, template.openers, { tokens, starts }),
      kept: { tokens: memory ? tokens : decoder.seen(slot), length: 0 },
      pending: found.pending,
      replay: found.replay,
      resumed: found.resumed,
    };
  }

  async #restore(
    slot: number,
    { policy, lane: { decoder } }: Prompt,
    from: ThreadBase,
  ): Promise<Restored> {
    if (!from.log) throw this.#notHeld(from);
    return await restoreThread(decoder, from.log, { slot, policy });
  }

  /** Computes again what is not in the slot any more. */
  async *#replay(turn: Turn): AsyncGenerator<GenerationEvent, void, void> {
    const { slot, lane: { decoder, format, scheduler }, replay } = turn;
    const greedy = createSampler({ temperature: 0 }, decoder.vocabulary);
    // Which layers are lazy is decided where a token is chosen: there again.
    const chosen = format.layered ? { sampler: greedy } : {};
    for (const part of replay) {
      yield* this.#prefill<Sample | null>(
        turn,
        part,
        (options) => scheduler.prefill(slot, part, { ...options, ...chosen }),
      );
    }
  }

  #notHeld({ setup }: ThreadBase): NotHeldError {
    return new NotHeldError(
      keyOf(setup, this.#parts.fingerprint.precision),
    );
  }

  /** Takes the rest of the prompt into the log; gives what the slot still has to be given. */
  async #appendPrompt(
    { text, block, tokens, param, shared, kept, log, pending, added, signal }:
      Turn,
  ): Promise<{ block: number[]; rest: number[] }> {
    const pause = pauses(signal);
    const append = (part: string) => log.appendPrompt(piecesOf(part), pause);
    const own = Math.max(block, kept.length);
    const ids = tokens ? [] : await append(text.slice(kept.length, own));
    const rest = tokens
      ? log.appendTokens(tokens)
      : await append(text.slice(own));
    for (const id of [...ids, ...rest]) added.push(id);
    const all = [...pending, ...ids, ...rest];
    if (all.length === 0) {
      throw new RequestError(
        "The prompt holds no text that the model knows",
        param,
      );
    }
    const common = shared.whole
      ? all.length - 1
      : kept.length === 0
      ? ids.length
      : 0;
    return { block: all.slice(0, common), rest: all.slice(common) };
  }

  /** The copy of a new conversation's system block, or the claim to compute it; `null` if neither. */
  async #findBeginning(turn: Turn, tokens: number): Promise<Beginning | null> {
    const { owner, policy, lane, shared, thread, signal } = turn;
    // A thread's lazy layers are decided in the same runs whoever else there is.
    if (tokens === 0 || thread && lane.format.layered) return null;
    const of = { owner, policy, text: shared.key };
    return await lane.beginnings.find(of, signal);
  }

  /** Puts a shared beginning into the slot, computing it if nobody has. */
  async *#share(
    turn: Turn,
    beginning: Beginning,
    tokens: readonly number[],
  ): AsyncGenerator<GenerationEvent, void, void> {
    const { decoder, scheduler } = turn.lane;
    turn.runs.push(tokens.length);
    if ("snapshot" in beginning) {
      return await decoder.restore(turn.slot, beginning.snapshot);
    }
    yield* this.#prefill(
      turn,
      tokens,
      (options) => scheduler.prefill(turn.slot, tokens, options),
    );
    beginning.claim.give(decoder.save(turn.slot));
  }

  /** Appends part of the prompt, telling how the cache fills; gives what that gives. */
  async *#prefill<Given>(
    turn: Turn,
    tokens: readonly number[],
    prefill: (options: PrefillOptions) => Promise<Given>,
  ): AsyncGenerator<GenerationEvent, Given, void> {
    let chunk = Promise.withResolvers<null>();
    const done = prefill({
      signal: turn.signal,
      starts: this.#startsAmong(turn, tokens),
      onChunk: () => chunk.resolve(null),
    }).then((given) => ({ given }));
    try {
      for (;;) {
        const end = await Promise.race([done, chunk.promise]);
        turn.signal.throwIfAborted();
        if (end) return end.given;
        chunk = Promise.withResolvers();
        yield { type: "text", tokens: 0, text: "", cache: this.#cache(turn) };
      }
    } finally {
      // Whoever has left: the slot is in use until the chunk under way is done.
      await done.catch(() => {});
    }
  }

  /** Which of the slot's next tokens begin messages, if its window is to begin at one. */
  #startsAmong(turn: Turn, tokens: readonly number[]): number[] {
    const boundaries = boundariesOf(turn);
    const seen = turn.lane.decoder.seen(turn.slot);
    return boundaries.slice(
      firstFrom(boundaries, seen),
      firstFrom(boundaries, seen + tokens.length),
    ).map((start) => start - seen);
  }

  /** What is kept of the conversation: nothing if its cache lacks more of the log than the last token. */
  #remember(turn: Turn, last: number | null): Memory | null {
    const { log, policy, lane, slot, owner } = turn;
    const memory = { owner, state: turn.thread?.to ?? null, log, policy };
    const missing = log.tokens - lane.decoder.seen(slot);
    if (missing === 0) return { ...memory, pending: [] };
    return missing === 1 && last !== null
      ? { ...memory, pending: [last] }
      : null;
  }

  /** The thread as it was before a turn that has come to nothing; `null` if its cache has moved on. */
  #takeBack(
    { thread, base, pending, slot, owner, policy, lane }: Turn,
  ): Memory | null {
    const { tokenizer, template } = this.#parts;
    const from = thread?.from;
    const seen = base.tokens - pending.length;
    if (!from || seen === 0) return null;
    try {
      lane.decoder.rewind(slot, seen);
    } catch {
      return null;
    }
    const log = new ConversationLog(tokenizer, template.openers, base);
    return { owner, state: from.state, log, policy, pending };
  }

  /** What a turn has added to its thread. */
  #grown(turn: Turn): ThreadEnd {
    const { added, base, pending, log, policy, lane, slot, runs } = turn;
    const before = base.tokens - pending.length;
    const read = runs.reduce((sum, size) => sum + size, 0);
    const steps = lane.decoder.seen(slot) - before - read;
    return {
      tokens: Uint32Array.from(added),
      runs: [...runs.map((size): Run => [size, 1]), [1, steps]],
      starts: log.starts.slice(firstFrom(log.starts, base.tokens)),
      setup: setupOf(this.#parts.fingerprint.model, policy),
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
    const { length } = await this.#encode(block, signal);
    if (length > room.sinks) {
      throw new RequestError(
        `The system message takes ${length} tokens, and this server pins at most ` +
          `${room.sinks} (EVERSTREAM_SINKS): shorten it`,
        "messages",
      );
    }
    return choose(length);
  }

  async #encode(
    pieces: readonly Piece[],
    signal: AbortSignal,
  ): Promise<number[]> {
    const log = new ConversationLog(this.#parts.tokenizer);
    return await log.appendPrompt(pieces, pauses(signal));
  }

  #cache(turn: Turn): CacheUsage {
    return cacheUsage(turn, this.#lanes.standard.decoder.tokenBytes);
  }
}

/**
 * Most tokens of an answer to a prompt: the last one need not fit any more.
 *
 * @throws {RequestError} if not even the prompt fits
 */
function roomForAnswer(
  { name, rows }: Policy,
  promptTokens: number,
  refuseOverflow = false,
): number {
  if (name !== "full" && !refuseOverflow) return Infinity;
  if (promptTokens <= rows.capacity) return rows.capacity - promptTokens + 1;
  if (refuseOverflow) {
    throw new RequestError(
      `The conversation takes ${promptTokens} tokens, and its cache ${rows.capacity}: with ` +
        `truncation "auto" the oldest leave it`,
      "truncation",
    );
  }
  throw new RequestError(
    `The messages take ${promptTokens} tokens, and policy "full" takes ${rows.capacity}: ` +
      `shorten them, or ask for "sink-window" (everstream.policy), which takes any number`,
    "messages",
  );
}

/** Lets others run between parts of long work, and ends it when nobody wants it any more. */
function pauses(signal: AbortSignal): () => Promise<void> {
  return async () => {
    await eventLoop();
    signal.throwIfAborted();
  };
}
