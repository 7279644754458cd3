/**
 * One decoder, many conversations. Each turn runs one step of all that decode, as one batch, and one
 * chunk of one prompt: a conversation joins or leaves between turns, and a long prompt holds up
 * nobody for longer than its chunk.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Decoder, TokenChunk } from "../decoder/decoder.ts";
import type { Sample, Sampler } from "../sampling/mod.ts";
import { ChunkBudget } from "./chunk_budget.ts";
import { ComputeTurns } from "./compute_turns.ts";
import { eventLoop } from "./event_loop.ts";

/** Of so many chunks one is of the prompt that came first. */
const FIRST_COME = 4;
/** Milliseconds after which prompts that wait for memory are looked at again. */
const WAIT = 5;

/** Something that waits to be run. */
interface Job<Result> {
  readonly slot: number;
  readonly signal: AbortSignal;
  readonly done: PromiseWithResolvers<Result>;
  /** Part of the run under way: its slot is in use until that ends, whoever has left. */
  running: boolean;
}

interface Step extends Job<Sample> {
  readonly token: number;
  readonly sampler: Sampler;
}

interface Prompt extends Job<Sample | null> {
  readonly tokens: readonly number[];
  readonly starts: readonly number[];
  readonly sampler: Sampler | null;
  readonly onChunk: (appended: number) => void;
  appended: number;
}

/** How a prompt is read. */
export interface PrefillOptions {
  /** Takes it out of the queue, at the end of a chunk that runs. */
  readonly signal: AbortSignal;
  /** Which of its tokens, by index, begin a message, ascending: see `TokenChunk`. */
  readonly starts?: readonly number[];
  /** Told after each chunk how many tokens have been appended. */
  readonly onChunk?: (appended: number) => void;
}

/** Runs steps and prompts in turns. */
export class Scheduler {
  readonly #decoder: Decoder;
  readonly #turns: ComputeTurns;
  readonly #now: () => number;
  readonly #budget = new ChunkBudget();
  #steps: Step[] = [];
  /** In the order in which they came. */
  #prompts: Prompt[] = [];
  #turn = 0;
  #running = false;

  /**
   * @param options.turns shared with all that compute on the same cores
   * @param options.now milliseconds, for what steps and chunks take
   */
  constructor(
    decoder: Decoder,
    { turns = new ComputeTurns(), now = () => performance.now() }: {
      turns?: ComputeTurns;
      now?: () => number;
    } = {},
  ) {
    this.#decoder = decoder;
    this.#turns = turns;
    this.#now = now;
  }

  /**
   * Appends one token; gives the next.
   *
   * @param options.sampler chooses it
   * @param options.signal takes it out of the queue; one that runs is run to its end
   * @throws {Error} if the decoder or the sampler fails, or `signal`'s reason
   */
  step(
    slot: number,
    token: number,
    options: { sampler: Sampler; signal: AbortSignal },
  ): Promise<Sample> {
    return this.#enqueue<Sample, Step>(this.#steps, {
      slot,
      token,
      ...options,
    });
  }

  /**
   * Appends a prompt of any length, in chunks; gives the token that follows it.
   *
   * @param options.sampler chooses that one; without it, there is none
   * @throws {Error} if the decoder or the sampler fails, or the signal's reason
   */
  prefill(
    slot: number,
    tokens: readonly number[],
    options: PrefillOptions & { readonly sampler: Sampler },
  ): Promise<Sample>;
  prefill(
    slot: number,
    tokens: readonly number[],
    options: PrefillOptions,
  ): Promise<null>;
  prefill(
    slot: number,
    tokens: readonly number[],
    options: PrefillOptions & { readonly sampler?: Sampler },
  ): Promise<Sample | null> {
    const { signal, starts = [], onChunk = () => {}, sampler = null } = options;
    const of = { slot, tokens, starts, sampler, onChunk, signal };
    const prompt = { ...of, appended: 0 };
    return this.#enqueue<Sample | null, Prompt>(this.#prompts, prompt);
  }

  #enqueue<Result, T extends Job<Result>>(
    queue: T[],
    of: Omit<T, "done" | "running">,
  ): Promise<Result> {
    const { signal } = of;
    signal.throwIfAborted();
    const done = Promise.withResolvers<Result>();
    const job = { ...of, done, running: false } as T;
    const leave = () => {
      if (!job.running) done.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    queue.push(job);
    this.#start();
    return done.promise.finally(() =>
      signal.removeEventListener("abort", leave)
    );
  }

  async #start(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (;;) {
      await eventLoop();
      const steps = this.#steps.filter(({ signal }) => !signal.aborted);
      this.#steps = [];
      if (steps.length > 0) {
        await this.#runSteps(steps);
        await eventLoop(); // tokens go out before a chunk keeps this thread busy
      }
      const prompt = this.#nextPrompt();
      if (prompt) await this.#runChunk(prompt, steps.length > 0);
      else if (this.#prompts.length > 0) await delay(WAIT);
      else if (steps.length === 0) break;
    }
    this.#running = false;
  }

  async #runSteps(steps: readonly Step[]): Promise<void> {
    for (const step of steps) step.running = true;
    const chunks = steps.map(({ slot, token, sampler }) => ({
      slot,
      tokens: [token],
      sampler,
    }));
    try {
      const { given, took } = await this.#compute(() =>
        this.#decoder.sample(chunks)
      );
      for (const [i, { done }] of steps.entries()) settle(done, given[i]!);
      this.#budget.stepTook(took);
    } catch (error) {
      if (steps.length === 1) return steps[0]!.done.reject(error);
      // Nothing was appended: whoever is not to blame goes on.
      for (const step of steps) await this.#runSteps([step]);
    }
  }

  /**
   * The prompt that needs the least, so that most answers begin soon; in every {@linkcode FIRST_COME}th
   * turn the one that came first, so that a long one gets on whatever comes.
   */
  #nextPrompt(): Prompt | undefined {
    this.#prompts = this.#prompts.filter(({ signal }) => !signal.aborted);
    // One may have to wait for memory that another conversation's prompt is using.
    const ready = this.#prompts.filter(({ slot }) =>
      this.#decoder.limit(slot) > 0
    );
    const [first] = ready;
    if (this.#turn++ % FIRST_COME === FIRST_COME - 1) return first;
    const left = ({ tokens, appended }: Prompt) => tokens.length - appended;
    return ready.reduce(
      (a, b) => left(b) < left(a!) ? b : a,
      first,
    );
  }

  async #runChunk(prompt: Prompt, othersStream: boolean): Promise<void> {
    const { slot, tokens, starts, appended, done, signal } = prompt;
    prompt.running = true;
    const leave = () => {
      this.#prompts = this.#prompts.filter((other) => other !== prompt);
    };
    try {
      const most = this.#decoder.limit(slot);
      const count = othersStream ? this.#budget.tokens(most) : most;
      const end = Math.min(appended + count, tokens.length);
      const last = end === tokens.length;
      const chunk = {
        slot,
        tokens: tokens.slice(appended, end),
        starts: starts.filter((start) => start >= appended && start < end)
          .map((start) => start - appended),
      };
      const sampler = last ? prompt.sampler : null;
      const { given: sample, took } = await this.#compute(() =>
        this.#append(chunk, sampler)
      );
      if (othersStream) this.#budget.chunkTook(end - appended, took);
      prompt.appended = end;
      prompt.onChunk(prompt.appended);
      prompt.running = false;
      if (last) {
        leave();
        settle(done, sample);
      } else if (signal.aborted) done.reject(signal.reason);
    } catch (error) {
      leave();
      done.reject(error);
    }
  }

  /** Runs the decoder in its turn; says how many milliseconds that took, without the wait for it. */
  async #compute<Given>(
    run: () => Promise<Given>,
  ): Promise<{ given: Given; took: number }> {
    return await this.#turns.take(async () => {
      const begun = this.#now();
      const given = await run();
      return { given, took: this.#now() - begun };
    });
  }

  /** Appends tokens of a prompt; with a sampler, gives the token that follows. */
  async #append(
    chunk: TokenChunk,
    sampler: Sampler | null,
  ): Promise<PromiseSettledResult<Sample | null>> {
    if (sampler) {
      const [sample] = await this.#decoder.sample([{ ...chunk, sampler }]);
      return sample!;
    }
    await this.#decoder.run([{ ...chunk, logits: 0 }]);
    return { status: "fulfilled", value: null };
  }
}

function settle<Result>(
  { resolve, reject }: PromiseWithResolvers<Result>,
  result: PromiseSettledResult<Result>,
): void {
  if (result.status === "fulfilled") resolve(result.value);
  else reject(result.reason);
}
