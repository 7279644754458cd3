/** A conversation that goes on and on: does its time, its cache or the process grow? @module */
import type { SinkWindow } from "../../lib/cache/sink_window.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import {
  type BenchModel,
  BenchStream,
  sentenceTokens,
} from "../bench_model.ts";
import { logSumExp, median, sum } from "../statistics.ts";

/** One stretch of the stream. */
export interface StreamSample {
  /** Tokens seen at its end. */
  readonly seen: number;
  /** Milliseconds a token: the median, and the mean (which has the collector's pauses in it). */
  readonly medianMs: number;
  readonly meanMs: number;
  /** Bytes of the cache. */
  readonly cacheBytes: number;
  /** Bytes of the process in memory, as Deno counts them. */
  readonly rss: number;
  /** The same as the kernel counts them (`VmRSS`); `null` where it does not say. */
  readonly vmRss: number | null;
  /** exp of the mean negative log likelihood of a text's tokens; `null` if the model wrote them. */
  readonly perplexity: number | null;
}

/** What the stream shows. */
export interface StreamVerdict {
  /** Bytes by which RSS grew from `warmup` tokens to the end. */
  readonly rssGrowth: number;
  readonly warmup: number;
  readonly cacheConstant: boolean;
  /** Median milliseconds a token of the first stretch after capacity and of the last. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** Last over first. */
  readonly slowdown: number;
}

/** A whole stream. */
export interface StreamResult {
  readonly tokens: number;
  readonly sinks: number;
  readonly window: number;
  /** Tokens of one stretch. */
  readonly every: number;
  readonly source: "text" | "sampled";
  readonly samples: readonly StreamSample[];
  /** `null` if the stream is too short for one. */
  readonly verdict: StreamVerdict | null;
}

/** How to stream. */
export interface StreamOptions {
  readonly tokens: number;
  readonly policy: SinkWindow;
  readonly every: number;
  /** Tokens after which the process should not grow. */
  readonly warmup: number;
  /** A text's tokens, at least `tokens` of them; without it the model writes. */
  readonly text?: readonly number[] | undefined;
}

/**
 * Streams tokens one a run.
 *
 * @throws {RangeError} if the text is shorter than the stream.
 */
export async function measureStream(
  model: BenchModel,
  options: StreamOptions,
): Promise<StreamResult> {
  const { tokens, policy, every, warmup, text } = options;
  if (text && text.length < tokens) {
    throw new RangeError(
      `Cannot stream ${tokens} tokens of a text of ${text.length}`,
    );
  }
  const stream = await BenchStream.open(model, policy);
  const source = text
    ? new GivenTokens(text)
    : new WrittenTokens(model, stream.decoder.vocabulary);
  const times = new Float64Array(tokens); // claimed at once, so that RSS does not grow by it
  const samples: StreamSample[] = [];
  for (let seen = 0; seen < tokens; seen++) {
    const start = performance.now();
    const logits = await stream.append([source.next]);
    source.advance(logits);
    times[seen] = performance.now() - start;
    source.score(logits);
    const length = seen % every + 1;
    if (length === every || seen === tokens - 1) {
      samples.push({
        seen: seen + 1,
        ...stretch(times.subarray(seen + 1 - length, seen + 1)),
        cacheBytes: stream.decoder.cacheBytes,
        ...await memory(),
        perplexity: source.perplexity(),
      });
    }
  }
  return {
    tokens,
    sinks: policy.sinks,
    window: policy.window,
    every,
    source: text ? "text" : "sampled",
    samples,
    verdict: verdictOf(samples, times, {
      capacity: policy.capacity,
      every,
      warmup,
    }),
  };
}

/** Compares a stream's end with its beginning, or gives `null` if they overlap. */
export function verdictOf(
  samples: readonly StreamSample[],
  times: Float64Array,
  { capacity, every, warmup }: {
    capacity: number;
    every: number;
    warmup: number;
  },
): StreamVerdict | null {
  const warm = samples.find(({ seen }) => seen >= warmup);
  const last = samples.at(-1);
  if (!warm || !last || warm === last || times.length < capacity + 2 * every) {
    return null;
  }
  const firstMs = median(times.subarray(capacity, capacity + every));
  const lastMs = median(times.subarray(-every));
  return {
    rssGrowth: (last.vmRss ?? last.rss) - (warm.vmRss ?? warm.rss),
    warmup: warm.seen,
    cacheConstant: samples.every(({ cacheBytes }) =>
      cacheBytes === last.cacheBytes
    ),
    firstMs,
    lastMs,
    slowdown: lastMs / firstMs,
  };
}

function stretch(times: Float64Array): { medianMs: number; meanMs: number } {
  return { medianMs: median(times), meanMs: sum(times) / times.length };
}

async function memory(): Promise<{ rss: number; vmRss: number | null }> {
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  const kibibytes = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  return {
    rss: Deno.memoryUsage().rss,
    vmRss: kibibytes === undefined ? null : Number(kibibytes) * 1024,
  };
}

/** Where the tokens of a stream come from. */
interface TokenSource {
  /** The token to append next. */
  readonly next: number;
  /** Goes on to the next token, given the logits after this one. */
  advance(logits: Float32Array): void;
  /** Scores the token that `advance` went on to; not timed. */
  score(logits: Float32Array): void;
  /** Perplexity since the last call. */
  perplexity(): number | null;
}

class GivenTokens implements TokenSource {
  readonly #tokens: readonly number[];
  #at = 0;
  #loss = 0;
  #scored = 0;

  constructor(tokens: readonly number[]) {
    this.#tokens = tokens;
  }

  get next(): number {
    return this.#tokens[this.#at]!;
  }

  advance(): void {
    this.#at++;
  }

  score(logits: Float32Array): void {
    if (this.#at >= this.#tokens.length) return;
    this.#loss += logSumExp(logits) - logits[this.next]!;
    this.#scored++;
  }

  perplexity(): number | null {
    const perplexity = this.#scored === 0
      ? null
      : Math.exp(this.#loss / this.#scored);
    this.#loss = 0;
    this.#scored = 0;
    return perplexity;
  }
}

/** The model's own tokens from a short prompt on, with a seed and without an end. */
class WrittenTokens implements TokenSource {
  readonly #pending: number[];
  readonly #sampler;

  constructor(model: BenchModel, vocabulary: number) {
    this.#pending = sentenceTokens(model.tokenizer, 16);
    const logitBias = new Map(
      [...model.tokenizer.endIds].map((id) => [id, -100]),
    );
    this.#sampler = createSampler({
      temperature: 1,
      topK: 40,
      seed: 1,
      logitBias,
    }, vocabulary);
  }

  get next(): number {
    return this.#pending[0]!;
  }

  advance(logits: Float32Array): void {
    this.#pending.shift();
    if (this.#pending.length === 0) {
      this.#pending.push(this.#sampler.sample(logits).token);
    }
  }

  score(): void {}

  perplexity(): null {
    return null;
  }
}
