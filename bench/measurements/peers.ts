/**
 * Our speed beside other programs' on the same file. Timings of a machine drift by tens of percent
 * within minutes, so ours and theirs take turns and medians are compared.
 *
 * @module
 */
import type { BenchModel } from "../bench_model.ts";
import {
  type Command,
  installLlamaCppPython,
  installNodeLlamaCpp,
} from "../peers/install.ts";
import { median } from "../statistics.ts";
import { jsonLinesOf } from "../run_program.ts";
import { measureDecode, measurePrefill } from "./speed.ts";

/** How to run one peer. */
export interface Peer {
  readonly name: string;
  /** What it does `sizes` with; one line of JSON for each. */
  run(sizes: readonly number[]): Promise<PeerLine[]>;
}

/** A line that the peers' programs print. */
export interface PeerLine {
  readonly peer: string;
  readonly held: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly threads: number;
  readonly rounds: number;
}

/** One program at one number of tokens held; medians over the turns. */
export interface PeerResult {
  /** A peer with its version, or `everstream`. */
  readonly name: string;
  readonly held: number;
  readonly threads: number;
  readonly turns: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  /** Ours over this one; 1 for ours. */
  readonly prefillRatio: number;
  readonly decodeRatio: number;
}

/** What to compare. */
export interface PeerOptions {
  readonly sizes: readonly number[];
  readonly turns: number;
  /** Tokens that ours decodes a turn. */
  readonly decoded: number;
}

const OURS = "everstream";

/** Runs ours, then each peer, and so on. */
export async function measurePeers(
  model: BenchModel,
  peers: readonly Peer[],
  options: PeerOptions,
): Promise<PeerResult[]> {
  const lines: PeerLine[] = [];
  for (let turn = 0; turn < options.turns; turn++) {
    lines.push(...await runOurs(model, options));
    for (const peer of peers) lines.push(...await peer.run(options.sizes));
  }
  return comparePeers(lines);
}

/** Medians of each program's lines, and ours over them. */
export function comparePeers(lines: readonly PeerLine[]): PeerResult[] {
  const groups = Map.groupBy(lines, ({ held, peer }) => `${held} ${peer}`);
  const medians = [...groups.values()].map((group) => {
    const { peer, held, threads } = group[0]!;
    return {
      name: peer,
      held,
      threads,
      turns: group.length,
      prefillTokensPerSecond: median(
        group.map((line) => line.prefillTokensPerSecond),
      ),
      decodeTokensPerSecond: median(
        group.map((line) => line.decodeTokensPerSecond),
      ),
    };
  });
  return medians.map((result) => {
    const ours = medians.find(({ name, held }) =>
      name === OURS && held === result.held
    );
    if (!ours) {
      throw new TypeError(
        `Cannot compare ${result.name}: ours has no ${result.held} tokens`,
      );
    }
    return {
      ...result,
      prefillRatio: ours.prefillTokensPerSecond / result.prefillTokensPerSecond,
      decodeRatio: ours.decodeTokensPerSecond / result.decodeTokensPerSecond,
    };
  });
}

async function runOurs(
  model: BenchModel,
  options: PeerOptions,
): Promise<PeerLine[]> {
  const lines: PeerLine[] = [];
  const rounds = 3; // as the peers' programs
  for (const held of options.sizes) {
    const prefill = await measurePrefill(model, { held, rounds });
    const decode = await measureDecode(model, {
      held,
      tokens: options.decoded,
      rounds,
    });
    lines.push({
      peer: OURS,
      held,
      prefillTokensPerSecond: prefill.tokensPerSecond,
      decodeTokensPerSecond: decode.tokensPerSecond,
      threads: model.threads,
      rounds,
    });
  }
  return lines;
}

const INSTALLERS: Readonly<
  Record<string, (directory: string) => Promise<{ time: Command }>>
> = {
  "llama-cpp-python": installLlamaCppPython,
  "node-llama-cpp": installNodeLlamaCpp,
};

/**
 * Installs the peers that are not in `directory` yet. One that cannot be installed is left out and
 * reported to `onProblem`.
 */
export async function installPeers(
  directory: string,
  { model, onProblem }: { model: string; onProblem: (problem: string) => void },
): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const [name, install] of Object.entries(INSTALLERS)) {
    try {
      const { time } = await install(directory);
      peers.push({
        name,
        run: (sizes) => jsonLinesOf([...time, model, ...sizes.map(String)]),
      });
    } catch (error) {
      onProblem(`${name}: ${(error as Error).message}`);
    }
  }
  return peers;
}
