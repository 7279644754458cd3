/** What became of turns as their conversation went on. @module */
import { median } from "../statistics.ts";
import type { TurnSample } from "./client.ts";

/** Turns of one stretch. */
export const STRETCH = 10;
/** The first turns, which load and warm what all later ones need, do not count. */
const SKIPPED = 2;
/** Least turns of a conversation whose beginning and end can be told apart. */
export const LEAST_TURNS = SKIPPED + 2 * STRETCH;

/** Some turns one after another. */
export interface Stretch {
  /** Numbers of the first and the last turn, from 1. */
  readonly from: number;
  readonly to: number;
  /** Milliseconds to the first text, median. */
  readonly firstMs: number;
  /** The same, of the slowest turn. */
  readonly slowestFirstMs: number;
  /** Milliseconds to the end of the answer, median. */
  readonly ms: number;
  /** Tokens of a turn's prompt that were computed, median; `null` where that is not told. */
  readonly computed: number | null;
  /** Bytes of the cache at the end; `null` where they are not told. */
  readonly cacheBytes: number | null;
}

/** A conversation at its beginning, in the middle and at its end. */
export interface TurnsSummary {
  readonly first: Stretch;
  readonly middle: Stretch;
  readonly last: Stretch;
  /** Time to first text at the end over that at the beginning. */
  readonly ratio: number;
  /** Where and why a turn was first refused as it was asked; `null` if none was. */
  readonly refused: { readonly turn: number; readonly reason: string } | null;
  /** Messages that the client had to forget, in all. */
  readonly forgotten: number;
}

/**
 * Compares a conversation's end with its beginning.
 *
 * @throws {RangeError} if there are fewer than {@linkcode LEAST_TURNS} turns
 */
export function summaryOf(samples: readonly TurnSample[]): TurnsSummary {
  if (samples.length < LEAST_TURNS) {
    throw new RangeError(
      `Cannot compare the end of ${samples.length} turns with their beginning: ` +
        `take ${LEAST_TURNS} or more`,
    );
  }
  const at = (index: number) => stretchOf(samples, index);
  const first = at(SKIPPED);
  const last = at(samples.length - STRETCH);
  const refused = samples.findIndex(({ refusal }) => refusal !== null);
  return {
    first,
    middle: at((samples.length - STRETCH) >> 1),
    last,
    ratio: last.firstMs / first.firstMs,
    refused: refused < 0
      ? null
      : { turn: refused + 1, reason: samples[refused]!.refusal! },
    forgotten: samples.reduce((sum, { forgotten }) => sum + forgotten, 0),
  };
}

function stretchOf(samples: readonly TurnSample[], index: number): Stretch {
  const turns = samples.slice(index, index + STRETCH);
  const firstMs = turns.map(({ firstMs }) => firstMs);
  const computed = turns.flatMap(({ computed }) => computed ?? []);
  return {
    from: index + 1,
    to: index + STRETCH,
    firstMs: median(firstMs),
    slowestFirstMs: Math.max(...firstMs),
    ms: median(turns.map(({ ms }) => ms)),
    computed: computed.length === 0 ? null : median(computed),
    cacheBytes: turns.at(-1)!.cacheBytes,
  };
}
