/**
 * Conversations side by side in ours and in node-llama-cpp, on the same file and in turns (see
 * `peers.ts`). llama-cpp-python has no batching of its own and is left out.
 *
 * @module
 */
import { type BenchModel, policyOf } from "../bench_model.ts";
import { installNodeLlamaCpp } from "../peers/install.ts";
import { jsonLinesOf } from "../run_program.ts";
import { median } from "../statistics.ts";
import { StreamGroup } from "../stream_group.ts";

/** A line that the peer's program prints. */
export interface PeerStreamsLine {
  readonly peer: string;
  readonly held: number;
  readonly streams: number;
  /** Of all conversations together, decoding. */
  readonly tokensPerSecond: number;
  readonly threads: number;
  readonly rounds: number;
}

/** How to run the peer: one line for each number of conversations. */
export type StreamsPeer = (
  held: number,
  streams: readonly number[],
) => Promise<PeerStreamsLine[]>;

/** One program with so many conversations; medians over the turns. */
export interface PeerStreamsResult {
  /** A peer with its version, or `everstream`. */
  readonly name: string;
  readonly held: number;
  readonly streams: number;
  readonly threads: number;
  readonly turns: number;
  readonly tokensPerSecond: number;
  /** Ours over this one; 1 for ours. */
  readonly ratio: number;
}

/** What to compare. */
export interface PeerStreamsOptions {
  readonly sizes: readonly number[];
  readonly streams: readonly number[];
  readonly turns: number;
  /** Tokens that each conversation of ours decodes a round. */
  readonly decoded: number;
}

const OURS = "everstream";

/** Runs ours, then the peer, and so on. */
export async function measurePeerStreams(
  model: BenchModel,
  peer: StreamsPeer,
  { sizes, streams, turns, decoded }: PeerStreamsOptions,
): Promise<PeerStreamsResult[]> {
  const lines: PeerStreamsLine[] = [];
  for (const held of sizes) {
    const groups: StreamGroup[] = [];
    for (const count of streams) {
      const group = await StreamGroup.open(model, policyOf(held), {
        slots: count,
      });
      await group.begin(held);
      groups.push(group);
    }
    for (let turn = 0; turn < turns; turn++) {
      for (const group of groups) {
        lines.push(await runOurs(group, { held, decoded, model }));
      }
      lines.push(...await peer(held, streams));
    }
  }
  return comparePeerStreams(lines);
}

async function runOurs(
  group: StreamGroup,
  { held, decoded, model }: {
    held: number;
    decoded: number;
    model: BenchModel;
  },
): Promise<PeerStreamsLine> {
  const rounds = 3; // after one that does not count, as the peer's program
  const milliseconds: number[] = [];
  await group.decode(decoded);
  for (let round = 0; round < rounds; round++) {
    milliseconds.push((await group.decode(decoded)).milliseconds);
  }
  const streams = group.streams.length;
  return {
    peer: OURS,
    held,
    streams,
    tokensPerSecond: streams * decoded / median(milliseconds) * 1000,
    threads: model.threads,
    rounds,
  };
}

/**
 * Medians of each program's lines, and ours over them.
 *
 * @throws {TypeError} if ours has no line of a size and number that a peer has.
 */
export function comparePeerStreams(
  lines: readonly PeerStreamsLine[],
): PeerStreamsResult[] {
  const groups = Map.groupBy(
    lines,
    ({ held, streams, peer }) => `${held} ${streams} ${peer}`,
  );
  const medians = [...groups.values()].map((group) => {
    const { peer, held, streams, threads } = group[0]!;
    return {
      name: peer,
      held,
      streams,
      threads,
      turns: group.length,
      tokensPerSecond: median(group.map((line) => line.tokensPerSecond)),
    };
  });
  return medians.map((result) => {
    const ours = medians.find(({ name, held, streams }) =>
      name === OURS && held === result.held && streams === result.streams
    );
    if (!ours) {
      throw new TypeError(
        `Cannot compare ${result.name}: ours has no ${result.streams} streams of ${result.held} tokens`,
      );
    }
    return { ...result, ratio: ours.tokensPerSecond / result.tokensPerSecond };
  });
}

/**
 * Installs node-llama-cpp unless it is in `directory`.
 *
 * @throws {Error} if it cannot be installed here.
 */
export async function installStreamsPeer(
  directory: string,
  model: string,
): Promise<StreamsPeer> {
  const { time } = await installNodeLlamaCpp(directory);
  return (held, streams) =>
    jsonLinesOf([
      ...time,
      model,
      "--streams",
      streams.join(","),
      String(held),
    ]);
}
