/**
 * Answers chats: messages → prompt → slot → tokens → text. One answer is one async generator, and
 * ending it early frees its slot.
 *
 * @module
 */
import { firstFrom } from "../cache/ascending.ts";
import { visibleMessages } from "../cache/horizon.ts";
import {
  type Eviction,
  type Policy,
  type PolicyName,
  type PolicyRequest,
  samePolicy,
} from "../cache/policy.ts";
import type { Decoder } from "../decoder/decoder.ts";
import { snapshotToBytes } from "../decoder/snapshot_bytes.ts";
import { createSampler, type Sampler } from "../sampling/mod.ts";
import { eventLoop } from "../scheduler/event_loop.ts";
import { type PrefillOptions, Scheduler } from "../scheduler/scheduler.ts";
import { type Lease, SlotPool } from "../scheduler/slot_pool.ts";
import type { Piece, Tokenizer } from "../text/tokenizer.ts";
import { Answer } from "./answer.ts";
import { type Beginning, Beginnings } from "./beginnings.ts";
import { cancellable } from "./cancellable.ts";
import {
  type CacheUsage,
  type ChatModel,
  type CountRequest,
  type GenerationEvent,
  type GenerationRequest,
  type ModelState,
  RequestError,
  UnavailableError,
} from "./chat_model.ts";
import { ConversationLog, isJoint, type Overlap } from "./conversation_log.ts";
import { policyFor, threadPolicy } from "./policies.ts";
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
  /** Most requests that wait for a slot. */
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
  /** Hash of the model's file, and what the rows of its caches are: what a snapshot must fit. */
  readonly fingerprint: { readonly model: string; readonly precision: string };
  readonly decoder: Decoder;
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
  readonly policy: Policy;
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
  readonly #slots: SlotPool<Memory>;
  readonly #scheduler: Scheduler;
  readonly #beginnings: Beginnings;
  #evicted = 0;

  constructor(parts: ChatParts) {
    this.id = parts.id;
    this.#parts = parts;
    this.#slots = new SlotPool(parts.decoder, parts.limits);
    this.#scheduler = new Scheduler(parts.decoder);
    this.#beginnings = new Beginnings(parts.limits.sharedBytes);
  }

  /** Requests that have a slot, and requests in the queue. */
  get load(): { running: number; waiting: number } {
    return { running: this.#slots.busy, waiting: this.#slots.waiting };
  }

  state(): Promise<ModelState> {
    const { bytes, swaps } = this.#slots;
    const { asked, found } = this.#beginnings.counts;
    return Promise.resolve({
      ...this.load,
      cacheBytes: { ...bytes, shared: this.#beginnings.bytes },
      gpuBytes: this.#parts.decoder.gpuBytes,
      totals: {
        evicted: this.#evicted,
        swappedOut: swaps.out,
        swappedIn: swaps.in,
        beginningsAsked: asked,
        beginningsFound: found,
      },
    });
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
    const kept = this.#slots.copy((memory) =>
      memory.owner === owner && memory.state === state ? 1 : 0
    );
    return kept && {
      key: keyOf(setupOf(model, kept.memory.policy), precision),
      bytes: await snapshotToBytes(kept.snapshot),
    };
  }

  generate(
    request: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void, void> {
    return cancellable((signal) => this.#answer(request, signal));
  }

  async *#answer(
    request: GenerationRequest,
    cancelled: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, void> {
    const prompt = await this.#readPrompt(request, cancelled);
    const { owner, id: client } = request.client;
    const score = (memory: Memory) => worthOf(memory, prompt, owner);
    const from = prompt.thread?.from;
    if (from && !from.log && !this.#slots.has(score)) throw this.#notHeld(from);
    const lease = await this.#slots.acquire({
      client,
      score,
      signal: cancelled,
    });
    const deadline = new Deadline(this.#parts.limits.answerTimeout, cancelled);
    let turn: Turn | null = null;
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
      const beginning = await this.#findBeginning(turn, tokens.block.length);
      const promptTokens = turn.log.tokens;
      const room = roomForAnswer(
        prompt.policy,
        promptTokens,
        request.refuseOverflow,
      );
      const shared = beginning && "snapshot" in beginning;
      const cachedTokens = turn.kept.tokens +
        (shared ? tokens.block.length : 0);
      const cache = this.#cache(turn);
      const { resumed } = turn;
      yield { type: "start", promptTokens, cachedTokens, cache, resumed };

      yield* this.#replay(turn);
      if (beginning) yield* this.#share(turn, beginning, tokens.block);
      const rest = beginning ? tokens.rest : [...tokens.block, ...tokens.rest];
      turn.runs.push(rest.length);
      const { slot, sampler, signal } = turn;
      let sample = yield* this.#prefill(
        turn,
        rest,
        (options) =>
          this.#scheduler.prefill(slot, rest, { ...options, sampler }),
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
        sample = await this.#scheduler.step(slot, last, { sampler, signal });
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
    const pieces = template.render(request.messages, {
      addGenerationPrompt: true,
    });
    const text = canonicalText(pieces);
    const block = template.renderSystemBlock(request.messages, text) ?? [];
    const { length } = canonicalText(block);
    return {
      thread,
      text,
      block: isJoint(text, length) ? length : 0,
      policy: await this.#policy(request.policy ?? {}, block, signal),
      sampler: await this.#sampler(request, pieces, signal),
    };
  }

  /** The same for messages that go on with a thread. */
  async #readFurther(
    request: GenerationRequest,
    thread: ThreadRequest,
    signal: AbortSignal,
  ): Promise<Prompt> {
    const pieces = this.#parts.template.renderBehind(request.messages);
    return {
      thread,
      text: canonicalText(pieces),
      block: 0,
      policy: threadPolicy(thread.from!.setup, request.policy, {
        ...this.#parts.policies,
        model: this.#parts.fingerprint.model,
        room: this.#parts.decoder.room,
      }),
      sampler: await this.#sampler(request, pieces, signal),
    };
  }

  /** Brings the slot to where the prompt goes on. */
  #begin(
    prompt: Prompt,
    owner: string,
    { slot, memory }: Lease<Memory>,
    signal: AbortSignal,
  ): Turn {
    const { decoder, tokenizer, template } = this.#parts;
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
    const kept = memory ? overlapOf(memory, prompt, owner) : NOTHING;
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
      : await this.#restore(slot, prompt.policy, from);
    const { tokens, starts } = found.base;
    const { tokenizer, template, decoder } = this.#parts;
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
    policy: Policy,
    from: ThreadBase,
  ): Promise<Restored> {
    if (!from.log) throw this.#notHeld(from);
    return await restoreThread(this.#parts.decoder, from.log, { slot, policy });
  }

  /** Computes again what is not in the slot any more. */
  async *#replay(turn: Turn): AsyncGenerator<GenerationEvent, void, void> {
    for (const part of turn.replay) {
      yield* this.#prefill(
        turn,
        part,
        (options) => this.#scheduler.prefill(turn.slot, part, options),
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
    { text, block, kept, log, pending, added, signal }: Turn,
  ): Promise<{ block: number[]; rest: number[] }> {
    const pause = pauses(signal);
    const append = (part: string) => log.appendPrompt(piecesOf(part), pause);
    const own = Math.max(block, kept.length);
    const ids = await append(text.slice(kept.length, own));
    const rest = await append(text.slice(own));
    for (const id of [...ids, ...rest]) added.push(id);
    const tokens = kept.tokens === 0 && block > 0
      ? { block: ids, rest }
      : { block: [], rest: [...pending, ...ids, ...rest] };
    if (tokens.block.length + tokens.rest.length === 0) {
      throw new RequestError(
        "The messages hold no text that the model knows",
        "messages",
      );
    }
    return tokens;
  }

  /** The copy of a new conversation's system block, or the claim to compute it; `null` if neither. */
  async #findBeginning(turn: Turn, tokens: number): Promise<Beginning | null> {
    if (tokens === 0) return null;
    const { owner, policy, text, block, signal } = turn;
    const of = { owner, policy, text: text.slice(0, block) };
    return await this.#beginnings.find(of, signal);
  }

  /** Puts a shared beginning into the slot, computing it if nobody has. */
  async *#share(
    turn: Turn,
    beginning: Beginning,
    tokens: readonly number[],
  ): AsyncGenerator<GenerationEvent, void, void> {
    const { decoder } = this.#parts;
    turn.runs.push(tokens.length);
    if ("snapshot" in beginning) {
      return await decoder.restore(turn.slot, beginning.snapshot);
    }
    try {
      yield* this.#prefill(
        turn,
        tokens,
        (options) => this.#scheduler.prefill(turn.slot, tokens, options),
      );
      beginning.claim.give(decoder.save(turn.slot));
    } finally {
      beginning.claim.abandon();
    }
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
    const seen = this.#parts.decoder.seen(turn.slot);
    return boundaries.slice(
      firstFrom(boundaries, seen),
      firstFrom(boundaries, seen + tokens.length),
    ).map((start) => start - seen);
  }

  /** What is kept of the conversation: nothing if its cache lacks more of the log than the last token. */
  #remember(turn: Turn, last: number | null): Memory | null {
    const { log, policy, slot, owner } = turn;
    const memory = { owner, state: turn.thread?.to ?? null, log, policy };
    const missing = log.tokens - this.#parts.decoder.seen(slot);
    if (missing === 0) return { ...memory, pending: [] };
    return missing === 1 && last !== null
      ? { ...memory, pending: [last] }
      : null;
  }

  /** The thread as it was before a turn that has come to nothing; `null` if its cache has moved on. */
  #takeBack(
    { thread, base, pending, slot, owner, policy }: Turn,
  ): Memory | null {
    const { decoder, tokenizer, template } = this.#parts;
    const from = thread?.from;
    const seen = base.tokens - pending.length;
    if (!from || seen === 0) return null;
    try {
      decoder.rewind(slot, seen);
    } catch {
      return null;
    }
    const log = new ConversationLog(tokenizer, template.openers, base);
    return { owner, state: from.state, log, policy, pending };
  }

  /** What a turn has added to its thread. */
  #grown(turn: Turn): ThreadEnd {
    const { added, base, pending, log, policy, slot, runs } = turn;
    const before = base.tokens - pending.length;
    const read = runs.reduce((sum, size) => sum + size, 0);
    const steps = this.#parts.decoder.seen(slot) - before - read;
    return {
      tokens: Uint32Array.from(added),
      runs: [...runs.map((size): Run => [size, 1]), [1, steps]],
      starts: log.starts.slice(firstFrom(log.starts, base.tokens)),
      setup: setupOf(this.#parts.fingerprint.model, policy),
    };
  }

  async #sampler(
    request: GenerationRequest,
    prompt: readonly Piece[],
    signal: AbortSignal,
  ): Promise<Sampler> {
    const { decoder } = this.#parts;
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
      sampler.observePrompt(await this.#encode(prompt, signal));
    }
    return sampler;
  }

  async #policy(
    request: PolicyRequest,
    block: readonly Piece[],
    signal: AbortSignal,
  ): Promise<Policy> {
    const { sinks, window, policies, decoder } = this.#parts;
    const { room } = decoder;
    const offer = (sinks: number) => ({ ...policies, sinks, window, room });
    const choose = (sinks: number) => policyFor(request, offer(sinks));
    const chosen = choose(sinks === "system" ? 0 : sinks);
    const pinned = sinks === "system" && request.sinks === undefined &&
      chosen.name === "sink-window";
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
    const { slot, log, policy: { name, rows, evict } } = turn;
    const { decoder } = this.#parts;
    const seen = decoder.seen(slot);
    const { sinks } = rows;
    const boundaries = boundariesOf(turn);
    const position = rows.horizon(seen, boundaries);
    const messages = visibleMessages(log.starts, { seen, sinks, position });
    return {
      policy: name,
      evict,
      held: rows.held(seen, boundaries),
      seen,
      evicted: rows.evicted(seen, boundaries),
      capacity: rows.capacity,
      sinks,
      horizon: { position, messages },
      bytes: decoder.slotBytes,
      fullBytes: seen * decoder.tokenBytes,
    };
  }
}

/** Positions at which a conversation's windows begin if they can; none where tokens leave one by one. */
function boundariesOf({ policy, log }: Turn): readonly number[] {
  return policy.evict === "turn" ? log.starts : [];
}

/** What an idle conversation is worth to a prompt: nothing unless it goes on with it. */
function worthOf(memory: Memory, prompt: Prompt, owner: string): number {
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
  return 2 * overlapOf(memory, prompt, owner).tokens - memory.log.tokens;
}

/** How far a conversation goes along with a prompt; never with another owner's. */
function overlapOf(memory: Memory, prompt: Prompt, owner: string): Overlap {
  if (memory.owner !== owner || !samePolicy(memory.policy, prompt.policy)) {
    return NOTHING;
  }
  const rewindable = memory.log.tokens <= memory.policy.rows.capacity;
  return memory.log.overlap(prompt.text, rewindable);
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

/** Aborts when time is up, or when the other signal does. */
class Deadline {
  readonly signal: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(milliseconds: number, other: AbortSignal) {
    const controller = new AbortController();
    this.signal = AbortSignal.any([controller.signal, other]);
    const seconds = milliseconds / 1000;
    this.#timer = setTimeout(() =>
      controller.abort(
        new UnavailableError(
          "answer_timeout",
          `The answer took ${seconds} s, as long as this server lets any: ask for fewer tokens, ` +
            `or again when it is less busy`,
          1,
        ),
      ), milliseconds);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
