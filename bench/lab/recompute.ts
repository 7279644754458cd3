/**
 * `window-recompute`: the cache rebuilt from the last W tokens for each new one, which is what a
 * window of this size can do at best and what StreamingLLM is measured against (arXiv 2309.17453,
 * "sliding window with re-computation"). As it costs W tokens for one, only a sample of the text's
 * positions is measured, and the others are compared with it at just these.
 *
 * @module
 */
import { RecomputedWindow } from "../../lib/cache/recomputed_window.ts";
import { type BenchModel, BenchStream, timed } from "../bench_model.ts";
import { logSumExp, median } from "../statistics.ts";
import { PLAIN_ROWS } from "./policies.ts";

/** What was measured of a window that is rebuilt. */
export interface RecomputedLosses {
  readonly window: number;
  /** Queries that were sampled. */
  readonly positions: readonly number[];
  /** −ln of the probability of the text's token after each. */
  readonly losses: Float64Array;
  readonly cacheBytes: number;
  /** Milliseconds a token, the median. */
  readonly stepMs: number;
}

/**
 * Every `every`-th position from `from` to before `to`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { samplePositions } from "./recompute.ts";
 * assertEquals(samplePositions({ from: 10, to: 31, every: 10 }), [10, 20, 30]);
 * ```
 */
export function samplePositions(
  { from, to, every }: { from: number; to: number; every: number },
): number[] {
  const count = Math.max(0, Math.ceil((to - from) / every));
  return Array.from({ length: count }, (_, i) => from + i * every);
}

/** The losses at `positions` if each query sees the last `window` tokens, itself included, anew. */
export async function recomputeWindow(
  model: BenchModel,
  options: {
    window: number;
    text: readonly number[];
    positions: readonly number[];
    onProgress?: (done: number) => void;
  },
): Promise<RecomputedLosses> {
  const { window, text, positions } = options;
  const stream = await BenchStream.open(model, new RecomputedWindow(window), {
    format: PLAIN_ROWS,
  });
  const losses = new Float64Array(positions.length);
  const times: number[] = [];
  for (const [i, position] of positions.entries()) {
    const next = text.slice(stream.decoder.seen(0), position + 1);
    times.push(
      await timed(async () => {
        const logits = await stream.append(next);
        losses[i] = logSumExp(logits) - logits[text[position + 1]!]!;
      }),
    );
    options.onProgress?.(i + 1);
  }
  const { slotBytes: cacheBytes } = stream.decoder;
  const stepMs = times.length === 0 ? NaN : median(times);
  return { window, positions, losses, cacheBytes, stepMs };
}
