/** Tokens a second of several conversations at once, and how long each waits for its own. @module */
import { type BenchModel, policyOf } from "../bench_model.ts";
import { median, type Spread, spreadOf } from "../statistics.ts";
import { StreamGroup } from "../stream_group.ts";

/** How fast so many conversations were, each with so many tokens held. */
export interface StreamsResult {
  readonly held: number;
  readonly streams: number;
  /** Tokens that each decoded a round. */
  readonly tokens: number;
  readonly rounds: number;
  /** Of all together, from the median round. */
  readonly tokensPerSecond: number;
  readonly perStream: number;
  /** All together over one alone; `null` if none ran alone. */
  readonly ratio: number | null;
  /** Milliseconds to the first token of a prompt of `prompt` tokens, all asking at once. */
  readonly firstToken: Spread;
  readonly prompt: number;
  /** Milliseconds between tokens. */
  readonly between: Spread;
}

/** How to measure them. */
export interface StreamsOptions {
  readonly held: number;
  /** Numbers of conversations. */
  readonly streams: readonly number[];
  readonly tokens: number;
  readonly prompt: number;
  readonly rounds: number;
}

/** A group and what was measured of it. */
interface Measured {
  readonly group: StreamGroup;
  readonly milliseconds: number[];
  readonly gaps: number[];
  readonly firstTokens: number[];
}

/**
 * Decodes greedily with each number of conversations, their caches full from the start, then has
 * them begin anew with short prompts. The numbers take turns, round by round.
 */
export async function measureStreams(
  model: BenchModel,
  options: StreamsOptions,
): Promise<StreamsResult[]> {
  const { held, tokens, rounds } = options;
  const prompt = Math.min(options.prompt, held);
  const all: Measured[] = [];
  for (const count of options.streams) {
    const group = await StreamGroup.open(model, policyOf(held), {
      slots: count,
    });
    await group.begin(held);
    await group.decode(Math.min(tokens, 8));
    all.push({ group, milliseconds: [], gaps: [], firstTokens: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { group, milliseconds, gaps } of all) {
      const result = await group.decode(tokens);
      milliseconds.push(result.milliseconds);
      gaps.push(...result.gaps);
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const { group, firstTokens } of all) {
      firstTokens.push(...await group.begin(prompt));
    }
  }
  const speed = ({ group, milliseconds }: Measured) =>
    group.streams.length * tokens / median(milliseconds) * 1000;
  const alone = all.find(({ group }) => group.streams.length === 1);
  return all.map((measured) => {
    const tokensPerSecond = speed(measured);
    const streams = measured.group.streams.length;
    return {
      held,
      streams,
      tokens,
      rounds,
      tokensPerSecond,
      perStream: tokensPerSecond / streams,
      ratio: alone ? tokensPerSecond / speed(alone) : null,
      firstToken: spreadOf(measured.firstTokens),
      prompt,
      between: spreadOf(measured.gaps),
    };
  });
}
