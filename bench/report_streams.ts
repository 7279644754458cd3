/** Results of several conversations at once as they are printed. @module */
import type { BitsResult } from "./measurements/bits.ts";
import type { MixedResult } from "./measurements/mixed.ts";
import type { PeerStreamsResult } from "./measurements/peer_streams.ts";
import type { StreamsResult } from "./measurements/streams.ts";
import type { Spread } from "./statistics.ts";
import { section } from "../lib/program/table.ts";

/** Speed and waiting times for each number of conversations. */
export function renderStreams(results: readonly StreamsResult[]): string {
  return section(
    "Conversations side by side, median of rounds; ratios are over one alone",
    {
      columns: [
        "held",
        "streams",
        "tokens/s",
        "ratio",
        "each",
        "first token ms p50",
        "p99",
        "between ms p50",
        "p99",
        "prompt",
        "rounds",
      ],
      rows: results.map((result) => [
        String(result.held),
        String(result.streams),
        result.tokensPerSecond.toFixed(1),
        result.ratio === null ? "-" : result.ratio.toFixed(2),
        result.perStream.toFixed(1),
        result.firstToken.p50.toFixed(0),
        result.firstToken.p99.toFixed(0),
        result.between.p50.toFixed(1),
        result.between.p99.toFixed(1),
        String(result.prompt),
        String(result.rounds),
      ]),
    },
  );
}

/** What a step costs with rows of so many bits. */
export function renderBits(results: readonly BitsResult[]): string {
  return section(
    "Rows of so many bits, median of rounds; ratios are over rows of 32",
    {
      columns: [
        "held",
        "streams",
        "bits",
        "ms/step",
        "ratio",
        "prompts ms",
        "rounds",
      ],
      rows: results.map((result) => [
        String(result.held),
        String(result.streams),
        String(result.bits),
        result.stepMs.toFixed(2),
        result.ratio.toFixed(2),
        result.promptMs.toFixed(0),
        String(result.rounds),
      ]),
    },
  );
}

/** What a long prompt does to those who stream. */
export function renderMixed(result: MixedResult): string {
  const { streams, held, prompt, rounds, before, during, ratio } = result;
  const row = (name: string, { p50, p99, max }: Spread, digits: number) => [
    name,
    ...[p50, p99, max].map((value) => value.toFixed(digits)),
  ];
  const table = section(
    `Milliseconds between tokens of ${streams} streams (${held} held at first) while another's ` +
      `prompt of ${prompt} is read, ${rounds} rounds`,
    {
      columns: ["", "p50", "p99", "max"],
      rows: [
        row("before", before, 1),
        row("while", during, 1),
        row("while ÷ before's p50", ratio, 2),
      ],
    },
  );
  const speed = result.prefillTokensPerSecond.toFixed(1);
  return `${table}\nThe prompt: ${speed} tokens/s`;
}

/** Ours and a peer, conversations side by side. */
export function renderPeerStreams(
  results: readonly PeerStreamsResult[],
): string {
  return section(
    "Conversations side by side, in turns, medians; ratios are ours over theirs",
    {
      columns: [
        "program",
        "held",
        "streams",
        "tokens/s",
        "ratio",
        "threads",
        "turns",
      ],
      rows: results.map((result) => [
        result.name,
        String(result.held),
        String(result.streams),
        result.tokensPerSecond.toFixed(1),
        result.ratio.toFixed(2),
        String(result.threads),
        String(result.turns),
      ]),
    },
  );
}
