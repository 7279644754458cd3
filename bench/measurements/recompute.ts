/**
 * What sinks save: a window that slides in O(1) against one whose cache is rebuilt from the last
 * tokens for each new one (StreamingLLM's "sliding window with re-computation", arXiv 2309.17453).
 *
 * @module
 */
import { RecomputedWindow } from "../../lib/cache/recomputed_window.ts";
import {
  type BenchModel,
  BenchStream,
  policyOf,
  sentenceTokens,
  timed,
} from "../bench_model.ts";
import { median } from "../statistics.ts";

/** Times of both at one size. */
export interface RecomputeResult {
  /** Tokens that both hold. */
  readonly held: number;
  readonly rounds: number;
  /** Tokens of a sink-window round; a round of recomputing is one token. */
  readonly tokens: number;
  /** Milliseconds a token, medians over the rounds. */
  readonly sinkWindowMs: number;
  readonly recomputeMs: number;
  /** Recompute over sink-window. */
  readonly ratio: number;
}

/** Streams past a full cache of `held` tokens, both ways in turns. */
export async function measureRecompute(
  model: BenchModel,
  { held, tokens, rounds }: { held: number; tokens: number; rounds: number },
): Promise<RecomputeResult> {
  const text = sentenceTokens(model.tokenizer, held + rounds * tokens + 1);
  const streamed = await BenchStream.open(model, policyOf(held));
  const rebuilt = await BenchStream.open(model, new RecomputedWindow(held));
  await streamed.append(text.slice(0, held));
  await rebuilt.append(text.slice(0, held));
  const sinkWindow: number[] = [];
  const recompute: number[] = [];
  for (let at = held; sinkWindow.length < rounds; at += tokens) {
    const milliseconds = await timed(async () => {
      for (const token of text.slice(at, at + tokens)) {
        await streamed.append([token]);
      }
    });
    sinkWindow.push(milliseconds / tokens);
    // Only the last one's logits are asked for: one window is rebuilt.
    recompute.push(
      await timed(() => rebuilt.append(text.slice(at, at + tokens))),
    );
  }
  const [sinkWindowMs, recomputeMs] = [median(sinkWindow), median(recompute)];
  return {
    held,
    rounds,
    tokens,
    sinkWindowMs,
    recomputeMs,
    ratio: recomputeMs / sinkWindowMs,
  };
}
