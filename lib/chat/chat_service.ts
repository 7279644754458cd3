/**
 * Answers chats: messages → prompt → slot → tokens → text. One answer is one async generator, and
 * ending it early frees its slot.
 *
 * @module
 */
import { firstFrom } from "../cache/ascending.ts";
import { type Policy, samePolicy } from "../cache/policy.ts";
import { snapshotToBytes } from "../decoder/snapshot_bytes.ts";
import { Grammars, grammarVocabulary } from "../grammar/mod.ts";
import { createSampler, type Sample } from "../sampling/mod.ts";
import type { PrefillOptions } from "../scheduler/scheduler.ts";
import type { Lease } from "../scheduler/slot_pool.ts";
import { Answer } from "./answer.ts";
import type { Beginning } from "./beginnings.ts";
import { CacheLanes } from "./cache_lane.ts";
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
import type { ChatParts } from "./chat_parts.ts";
import { ConversationLog, type Overlap } from "./conversation_log.ts";
import { Deadline } from "./deadline.ts";
import { checkFormat, type Choice, chooseWithin } from "./formats.ts";
import { pauses } from "./pauses.ts";
import { PromptReader } from "./prompt_reader.ts";
import {
  piecesOfTokens,
  readPieces,
  readPiecesBehind,
  textOfPieces,
} from "./prompts.ts";
import { piecesOf } from "./template.ts";
import {
  keyOf,
  NotHeldError,
  setupOf,
  type ThreadBase,
  type ThreadCopy,
  type ThreadName,
} from "./thread.ts";
import { type Restored, restoreThread } from "./thread_cache.ts";
import { grown, takeBack } from "./thread_turns.ts";
import { type Memory, NOTHING, type Prompt, type Turn } from "./turn.ts";

/** The model that clients talk to. */
export class ChatService implements ChatModel {
  readonly id: string;
  readonly created = Math.floor(Date.now() / 1000);
  readonly #parts: ChatParts;
  readonly #lanes: CacheLanes<Memory>;
  readonly #reader: PromptReader;
  readonly #grammars: Grammars;
  #evicted = 0;

  constructor(parts: ChatParts) {
    this.id = parts.id;
    this.#parts = parts;
    this.#lanes = new CacheLanes(parts.caches, parts.limits);
    this.#reader = new PromptReader(parts, this.#lanes);
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

  async count({ continued, ...source }: CountRequest): Promise<number> {
    const pieces = continued
      ? readPiecesBehind(source, this.#parts)
      : readPieces(source, this.#parts, { addGenerationPrompt: true });
    const ids = await this.#reader.encode(pieces, new AbortController().signal);
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
        : await this.#reader.encode(pieces, signal),
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
    const prompt = await this.#reader.read(request, cancelled);
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
        ...(prompt.thread
          ? { thread: grown(turn, this.#parts.fingerprint.model) }
          : {}),
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
            ? takeBack(turn, this.#parts)
            : this.#remember(turn, last)
          : null,
      );
    }
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
