/** The caches whose bytes and perplexities make the curve, and how a text is cut for them. @module */
import type { KvBits } from "../../lib/cache/cache_format.ts";
import { SINKS } from "../bench_model.ts";
import { type LabPolicy, simplayer, sinkWindow } from "./policies.ts";

/**
 * Caches of so many tokens: plain rows in all layers first, which the others are compared with; then
 * fewer bits, lazy layers, and both.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { curveCaches } from "./curve_caches.ts";
 * const caches = curveCaches(4096, { bits: [32, 4], lazy: [10, 15] });
 * assertEquals(caches.map(({ label }) => label), [
 *   "32 bits",
 *   "4 bits",
 *   "10 lazy",
 *   "15 lazy",
 *   "10 lazy, 4 bits",
 *   "15 lazy, 4 bits",
 * ]);
 * assertEquals(caches[0]!.policy.capacity, 4096);
 * ```
 */
export function curveCaches(
  tokens: number,
  { bits, lazy }: { bits: readonly KvBits[]; lazy: readonly number[] },
): LabPolicy[] {
  const window = tokens - SINKS;
  const fewer = bits.filter((kvBits) => kvBits < 32);
  return [
    ...[32 as const, ...fewer].map((kvBits) => ({
      ...sinkWindow(SINKS, window, kvBits),
      label: `${kvBits} bits`,
    })),
    ...lazy.map((count) => ({
      ...simplayer(count, window),
      label: `${count} lazy`,
    })),
    ...fewer.flatMap((kvBits) =>
      lazy.map((count) => ({
        ...simplayer(count, window, kvBits),
        label: `${count} lazy, ${kvBits} bits`,
      }))
    ),
  ];
}

/** Tokens of one run, and of how many of them, counted from the last, the next is scored. */
export interface CurveChunk {
  readonly count: number;
  readonly scored: number;
}

/**
 * How a text of `tokens` tokens is cut: a prompt, whose last token's logits are asked for, and then
 * all but the last token, after which nothing is left to score. Cuts change how products are rounded,
 * so that caches can only be compared with the same ones.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { curveChunks } from "./curve_caches.ts";
 * assertEquals(curveChunks({ tokens: 10, prompt: 5, most: 3 }), [
 *   { count: 3, scored: 0 },
 *   { count: 2, scored: 1 },
 *   { count: 3, scored: 3 },
 *   { count: 1, scored: 1 },
 * ]);
 * ```
 */
export function curveChunks(
  { tokens, prompt, most }: { tokens: number; prompt: number; most: number },
): CurveChunk[] {
  const chunks: CurveChunk[] = [];
  for (let at = 0; at < tokens - 1;) {
    const end = at < prompt ? prompt : tokens - 1;
    const count = Math.min(most, end - at);
    at += count;
    const scored = Math.max(0, Math.min(count, at - prompt + 1));
    chunks.push({ count, scored });
  }
  return chunks;
}
