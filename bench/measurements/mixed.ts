/** Whether those who stream keep streaming while somebody's long prompt is read. @module */
import type { SinkWindow } from "../../lib/cache/sink_window.ts";
import { type BenchModel, sentenceTokens, timed } from "../bench_model.ts";
import { median, type Spread, spreadOf } from "../statistics.ts";
import { StreamGroup } from "../stream_group.ts";

/** Milliseconds between the tokens of those who stream, without and with a long prompt. */
export interface MixedResult {
  /** Conversations that stream, and tokens that each holds at first. */
  readonly streams: number;
  readonly held: number;
  /** Tokens of the long prompt. */
  readonly prompt: number;
  readonly rounds: number;
  readonly before: Spread;
  readonly during: Spread;
  /** What there was during the prompt over the usual (median) time before it. */
  readonly ratio: Spread;
  /** Of the prompt, from the median round. */
  readonly prefillTokensPerSecond: number;
}

/** How to measure it. */
export interface MixedOptions {
  readonly policy: SinkWindow;
  readonly streams: number;
  readonly held: number;
  /** Tokens that each decodes before the prompt comes. */
  readonly tokens: number;
  readonly prompt: number;
  readonly rounds: number;
}

/** Lets conversations stream, then gives another one a long prompt until it is read. */
export async function measureMixed(
  model: BenchModel,
  options: MixedOptions,
): Promise<MixedResult> {
  const { policy, streams, held, prompt, rounds } = options;
  const group = await StreamGroup.open(model, policy, { slots: streams + 1 });
  await group.begin(held);
  const steady = group.streams.slice(0, streams);
  const reader = group.streams[streams]!;
  const text = sentenceTokens(model.tokenizer, prompt);
  const decode = async (over: (tokens: number) => boolean) =>
    (await Promise.all(steady.map((stream) => stream.decode(over)))).flat();

  const before: number[] = [];
  const during: number[] = [];
  const prefill: number[] = [];
  for (let round = 0; round < rounds; round++) {
    before.push(...await decode((tokens) => tokens >= options.tokens));
    let read = false;
    const reading = timed(() => reader.begin(text))
      .finally(() => read = true);
    const [gaps, milliseconds] = await Promise.all([
      decode(() => read),
      reading,
    ]);
    during.push(...gaps);
    prefill.push(milliseconds);
  }
  const [usual, disturbed] = [spreadOf(before), spreadOf(during)];
  return {
    streams,
    held,
    prompt,
    rounds,
    before: usual,
    during: disturbed,
    ratio: {
      p50: disturbed.p50 / usual.p50,
      p99: disturbed.p99 / usual.p50,
      max: disturbed.max / usual.p50,
    },
    prefillTokensPerSecond: prompt / median(prefill) * 1000,
  };
}
