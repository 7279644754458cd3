/** What a step costs by the bits that rows of the cache are kept in. @module */
import { KV_BITS, type KvBits } from "../../lib/cache/cache_format.ts";
import { type BenchModel, policyOf } from "../bench_model.ts";
import { median } from "../statistics.ts";
import { StreamGroup } from "../stream_group.ts";

/** How fast conversations with such rows were. */
export interface BitsResult {
  readonly bits: KvBits;
  readonly held: number;
  readonly streams: number;
  readonly rounds: number;
  /** Milliseconds of a step of all, from the median round. */
  readonly stepMs: number;
  /** Over that of f32 rows. */
  readonly ratio: number;
  /** Milliseconds of reading a prompt of `held` tokens for each, all asking at once: the only time. */
  readonly promptMs: number;
}

/** Decodes greedily with full caches of each precision; they take turns, round by round. */
export async function measureBits(
  model: BenchModel,
  { held, streams, tokens, rounds }: {
    held: number;
    streams: number;
    tokens: number;
    rounds: number;
  },
): Promise<BitsResult[]> {
  const all: { bits: KvBits; group: StreamGroup; promptMs: number }[] = [];
  for (const kvBits of KV_BITS) {
    const room = { slots: streams, format: { kvBits, layered: false } };
    const group = await StreamGroup.open(model, policyOf(held), room);
    const promptMs = Math.max(...await group.begin(held));
    await group.decode(Math.min(tokens, 8));
    all.push({ bits: kvBits, group, promptMs });
  }
  const times = all.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { group }] of all.entries()) {
      const { milliseconds } = await group.decode(tokens);
      times[i]!.push(milliseconds / tokens);
    }
  }
  const exact = median(times[0]!);
  return all.map(({ bits, promptMs }, i) => {
    const stepMs = median(times[i]!);
    const ratio = stepMs / exact;
    return { bits, held, streams, rounds, stepMs, ratio, promptMs };
  });
}
