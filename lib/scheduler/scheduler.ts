/**
 * One decoder, many conversations. Each turn runs one step of all that decode, as one batch, and one
 * chunk of one prompt: a conversation joins or leaves between turns, and a long prompt holds up
 * nobody for longer than its chunk.
 *
 * @module
 */
import type { DecodeChunk, Decoder } from "../decoder/decoder.ts";
import { ChunkBudget } from "./chunk_budget.ts";
import { eventLoop } from "./event_loop.ts";

/** Of so many chunks one is of the prompt that came first. */
const FIRST_COME = 4;

/** Something that waits to be run. */
interface Job {
  readonly slot: number;
  readonly signal: AbortSignal;
  readonly done: PromiseWithResolvers<Float32Array>;
  /** Part of the run under way: its slot is in use until that ends, whoever has left. */
  running: boolean;
}

interface Step extends Job {
  readonly token: number;
}

interface Prompt extends Job {
  readonly tokens: readonly number[];
  readonly onChunk: (appended: number) => void;
  appended: number;
}

/** Runs steps and prompts in turns. */
export class Scheduler {
  readonly #decoder: Decoder;
  readonly #now: () => number;
  readonly #budget = new ChunkBudget();
  #steps: Step[] = [];
  /** In the order in which they came. */
  #prompts: Prompt[] = [];
  #turn = 0;
  #running = false;

  /** @param now milliseconds, for what steps and chunks take */
  constructor(decoder: Decoder, now: () => number = () => performance.now()) {
    this.#decoder = decoder;
    this.#now = now;
  }

  /**
   * Appends one token; gives its logits, `[vocabulary]`.
   *
   * @param signal takes it out of the queue; one that runs is run to its end
   * @throws {Error} if the decoder fails, or `signal`'s reason
   */
  step(
    slot: number,
    token: number,
    signal: AbortSignal,
  ): Promise<Float32Array> {
    return this.#enqueue(this.#steps, { slot, token, signal });
  }

  /**
   * Appends a prompt of any length, in chunks; gives the logits of its last token, `[vocabulary]`.
   *
   * @param options.onChunk told after each chunk how many tokens have been appended
   * @param options.signal takes it out of the queue, at the end of a chunk that runs
   * @throws {Error} if the decoder fails, or `signal`'s reason
   */
  prefill(
    slot: number,
    tokens: readonly number[],
    options: { signal: AbortSignal; onChunk?: (appended: number) => void },
  ): Promise<Float32Array> {
    const { signal, onChunk = () => {} } = options;
    const prompt = { slot, tokens, onChunk, appended: 0, signal };
    return this.#enqueue(this.#prompts, prompt);
  }

  #enqueue<T extends Job>(
    queue: T[],
    of: Omit<T, "done" | "running">,
  ): Promise<Float32Array> {
    const { signal } = of;
    signal.throwIfAborted();
    const done = Promise.withResolvers<Float32Array>();
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
      else if (steps.length === 0) break;
    }
    this.#running = false;
  }

  async #runSteps(steps: readonly Step[]): Promise<void> {
    const begun = this.#now();
    for (const step of steps) step.running = true;
    const chunks = steps.map(({ slot, token }): DecodeChunk => ({
      slot,
      tokens: [token],
      logits: 1,
    }));
    try {
      const logits = await this.#decoder.run(chunks);
      for (const [i, step] of steps.entries()) step.done.resolve(logits[i]!);
      this.#budget.stepTook(this.#now() - begun);
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
    const [first] = this.#prompts;
    if (this.#turn++ % FIRST_COME === FIRST_COME - 1) return first;
    const left = ({ tokens, appended }: Prompt) => tokens.length - appended;
    return this.#prompts.reduce(
      (a, b) => left(b) < left(a!) ? b : a,
      first,
    );
  }

  async #runChunk(prompt: Prompt, othersStream: boolean): Promise<void> {
    const { slot, tokens, appended, done, signal } = prompt;
    prompt.running = true;
    const leave = () => {
      this.#prompts = this.#prompts.filter((other) => other !== prompt);
    };
    try {
      const most = this.#decoder.limit(slot);
      const count = othersStream ? this.#budget.tokens(most) : most;
      const chunk = tokens.slice(appended, appended + count);
      const last = appended + chunk.length === tokens.length;
      const begun = this.#now();
      const [logits] = await this.#decoder.run([
        { slot, tokens: chunk, logits: last ? 1 : 0 },
      ]);
      this.#budget.chunkTook(chunk.length, this.#now() - begun);
      prompt.appended += chunk.length;
      prompt.onChunk(prompt.appended);
      prompt.running = false;
      if (last) {
        leave();
        done.resolve(logits!);
      } else if (signal.aborted) done.reject(signal.reason);
    } catch (error) {
      leave();
      done.reject(error);
    }
  }
}
