/**
 * Conversations side by side, as the server runs them: on one decoder, through the scheduler, each
 * asking for its next token as soon as it has one.
 *
 * @module
 */
import type { SinkWindow } from "../lib/cache/sink_window.ts";
import type { Decoder } from "../lib/decoder/decoder.ts";
import { createSampler, type Sampler } from "../lib/sampling/mod.ts";
import { Scheduler } from "../lib/scheduler/scheduler.ts";
import type { Tokenizer } from "../lib/text/tokenizer.ts";
import {
  type BenchModel,
  type BenchRoom,
  sentenceTokens,
} from "./bench_model.ts";

/** Nothing that is measured is given up. */
const NEVER = new AbortController().signal;

/** One conversation of a {@linkcode StreamGroup}. */
export class GroupedStream {
  readonly #scheduler: Scheduler;
  readonly #decoder: Decoder;
  readonly #sampler: Sampler;
  readonly #slot: number;
  readonly #policy: SinkWindow;
  /** The latest token, which the decoder has not been given yet. */
  #last = 0;

  constructor(
    slot: number,
    of: {
      scheduler: Scheduler;
      decoder: Decoder;
      sampler: Sampler;
      policy: SinkWindow;
    },
  ) {
    this.#slot = slot;
    this.#scheduler = of.scheduler;
    this.#decoder = of.decoder;
    this.#sampler = of.sampler;
    this.#policy = of.policy;
  }

  /** Forgets everything and reads a prompt, up to the first token of the answer. */
  async begin(prompt: readonly number[]): Promise<void> {
    this.#decoder.open(this.#slot, this.#policy);
    const { token } = await this.#scheduler.prefill(this.#slot, prompt, {
      sampler: this.#sampler,
      signal: NEVER,
    });
    this.#last = token;
  }

  /** Goes on by one greedy token. */
  async step(): Promise<void> {
    const { token } = await this.#scheduler.step(this.#slot, this.#last, {
      sampler: this.#sampler,
      signal: NEVER,
    });
    this.#last = token;
  }

  /** Goes on until `over` says so, by one token at least; gives the milliseconds between tokens. */
  async decode(over: (tokens: number) => boolean): Promise<number[]> {
    const gaps: number[] = [];
    for (
      let before = performance.now();
      gaps.length === 0 || !over(gaps.length);
    ) {
      await this.step();
      const now = performance.now();
      gaps.push(now - before);
      before = now;
    }
    return gaps;
  }
}

/** As many conversations as a decoder of their own has slots. */
export class StreamGroup {
  readonly streams: readonly GroupedStream[];
  readonly #tokenizer: Tokenizer;

  private constructor(
    streams: readonly GroupedStream[],
    tokenizer: Tokenizer,
  ) {
    this.streams = streams;
    this.#tokenizer = tokenizer;
  }

  /** As many conversations as slots, on a decoder with just the policy's rows for each. */
  static async open(
    model: BenchModel,
    policy: SinkWindow,
    room: BenchRoom & { slots: number },
  ): Promise<StreamGroup> {
    const decoder = await model.decoder(policy, room);
    const scheduler = new Scheduler(decoder);
    const sampler = createSampler({ temperature: 0 }, decoder.vocabulary);
    const of = { scheduler, decoder, sampler, policy };
    const streams = Array.from(
      { length: room.slots },
      (_, slot) => new GroupedStream(slot, of),
    );
    return new StreamGroup(streams, model.tokenizer);
  }

  /**
   * All begin anew at once, each with a prompt of its own of `length` tokens. Gives the
   * milliseconds to each one's first token.
   */
  begin(length: number): Promise<number[]> {
    const start = performance.now();
    return Promise.all(this.streams.map(async (stream, i) => {
      await stream.begin(sentenceTokens(this.#tokenizer, length + i).slice(i));
      return performance.now() - start;
    }));
  }

  /** All decode `count` tokens at once: milliseconds in all, and those between tokens. */
  async decode(
    count: number,
  ): Promise<{ milliseconds: number; gaps: number[] }> {
    const start = performance.now();
    const gaps = await Promise.all(
      this.streams.map((stream) => stream.decode((tokens) => tokens >= count)),
    );
    return { milliseconds: performance.now() - start, gaps: gaps.flat() };
  }
}
