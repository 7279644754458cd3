/** What the cache saves: decoding with it against computing every prefix anew. @module */
import { createSampler } from "../../lib/sampling/mod.ts";
import {
  type BenchModel,
  BenchStream,
  policyOf,
  sentenceTokens,
  timed,
} from "../bench_model.ts";
import { argMax, median, sum } from "../statistics.ts";

/** Times of the same answer, cached and not. */
export interface CachedResult {
  /** Tokens of the prompt. */
  readonly prompt: number;
  /** Tokens of the answer. */
  readonly tokens: number;
  readonly rounds: number;
  /** Milliseconds of the whole answer, medians over the rounds. */
  readonly cachedMs: number;
  readonly uncachedMs: number;
  /** Uncached over cached. */
  readonly ratio: number;
  /** Share of tokens that are the most likely ones without the cache too. */
  readonly agreement: number;
}

/**
 * Answers a prompt greedily, then gives the same tokens to a decoder that computes the whole
 * prefix for each of them, in turns. The first token of both comes from the prompt alone.
 */
export async function measureCached(
  model: BenchModel,
  { prompt, tokens, rounds }: {
    prompt: number;
    tokens: number;
    rounds: number;
  },
): Promise<CachedResult> {
  const stream = await BenchStream.open(model, policyOf(prompt + tokens));
  const question = sentenceTokens(model.tokenizer, prompt);
  await stream.append(question);
  const cached: number[] = [];
  const uncached: number[] = [];
  let agreed = 0;
  for (let round = 0; round < rounds; round++) {
    const answer = await answerCached(stream, question, tokens);
    cached.push(sum(answer.milliseconds));
    const again = await answerUncached(stream, question, answer.tokens);
    uncached.push(sum(again.milliseconds));
    agreed += again.agreed;
  }
  const [cachedMs, uncachedMs] = [median(cached), median(uncached)];
  const ratio = uncachedMs / cachedMs;
  const agreement = agreed / (rounds * tokens);
  return { prompt, tokens, rounds, cachedMs, uncachedMs, ratio, agreement };
}

async function answerCached(
  stream: BenchStream,
  question: readonly number[],
  count: number,
) {
  const sampler = createSampler({ temperature: 0 }, stream.decoder.vocabulary);
  const tokens: number[] = [];
  const milliseconds: number[] = [];
  stream.restart();
  let next = question;
  while (tokens.length < count) {
    milliseconds.push(
      await timed(async () => {
        next = [sampler.sample(await stream.append(next)).token];
      }),
    );
    tokens.push(...next);
  }
  return { tokens, milliseconds };
}

async function answerUncached(
  stream: BenchStream,
  question: readonly number[],
  answer: readonly number[],
) {
  const milliseconds: number[] = [];
  let agreed = 0;
  const prefix = [...question];
  for (const token of answer) {
    milliseconds.push(
      await timed(async () => {
        stream.restart();
        if (argMax(await stream.append(prefix)) === token) agreed++;
      }),
    );
    prefix.push(token);
  }
  return { agreed, milliseconds };
}
