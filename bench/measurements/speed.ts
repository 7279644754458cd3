/** Tokens a second of prefilling a prompt and of decoding after it. @module */
import { createSampler } from "../../lib/sampling/mod.ts";
import {
  type BenchModel,
  BenchStream,
  policyOf,
  sentenceTokens,
  timed,
} from "../bench_model.ts";
import { median } from "../statistics.ts";

/** How fast it was at one number of tokens held. */
export interface SpeedResult {
  readonly held: number;
  /** Tokens of one round. */
  readonly tokens: number;
  readonly rounds: number;
  /** Milliseconds of each round. */
  readonly milliseconds: readonly number[];
  /** From the median round. */
  readonly tokensPerSecond: number;
}

/** Prefills `held` tokens into an empty cache of just that size, `rounds` times after one short try. */
export async function measurePrefill(
  model: BenchModel,
  { held, rounds }: { held: number; rounds: number },
): Promise<SpeedResult> {
  const stream = await BenchStream.open(model, policyOf(held));
  const tokens = sentenceTokens(model.tokenizer, held);
  await stream.append(tokens.slice(0, stream.decoder.chunk));
  const milliseconds: number[] = [];
  for (let round = 0; round < rounds; round++) {
    stream.restart();
    milliseconds.push(await timed(() => stream.append(tokens)));
  }
  return speedResult(held, held, milliseconds);
}

/**
 * Decodes `tokens` tokens greedily with `held` ones in the cache. The cache is full from the start
 * and stays so: a round goes on where the last one ended.
 */
export async function measureDecode(
  model: BenchModel,
  { held, tokens, rounds }: { held: number; tokens: number; rounds: number },
): Promise<SpeedResult> {
  const stream = await BenchStream.open(model, policyOf(held));
  const sampler = createSampler({ temperature: 0 }, stream.decoder.vocabulary);
  let logits = await stream.append(sentenceTokens(model.tokenizer, held));
  const decode = async (count: number) => {
    for (let i = 0; i < count; i++) {
      logits = await stream.append([sampler.sample(logits).token]);
    }
  };
  await decode(Math.min(tokens, 8));
  const milliseconds: number[] = [];
  for (let round = 0; round < rounds; round++) {
    milliseconds.push(await timed(() => decode(tokens)));
  }
  return speedResult(held, tokens, milliseconds);
}

function speedResult(
  held: number,
  tokens: number,
  milliseconds: readonly number[],
): SpeedResult {
  return {
    held,
    tokens,
    rounds: milliseconds.length,
    milliseconds,
    tokensPerSecond: tokens / median(milliseconds) * 1000,
  };
}
