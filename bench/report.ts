/** What a run of the benchmarks gives, as `--json` writes it and as it is printed. @module */
import type { Machine } from "./machine.ts";
import type { BitsResult } from "./measurements/bits.ts";
import type { CachedResult } from "./measurements/cached.ts";
import type { KlResult } from "./measurements/kl.ts";
import type { MixedResult } from "./measurements/mixed.ts";
import type { PeerStreamsResult } from "./measurements/peer_streams.ts";
import type { PeerResult } from "./measurements/peers.ts";
import type { RecomputeResult } from "./measurements/recompute.ts";
import type { SpeedResult } from "./measurements/speed.ts";
import type { StreamResult, StreamVerdict } from "./measurements/stream.ts";
import type { StreamsResult } from "./measurements/streams.ts";
import {
  renderBits,
  renderMixed,
  renderPeerStreams,
  renderStreams,
} from "./report_streams.ts";
import { section } from "../lib/program/table.ts";

/** The result of each measurement. */
export interface ResultOf {
  prefill: SpeedResult[];
  decode: SpeedResult[];
  cached: CachedResult;
  recompute: RecomputeResult[];
  stream: StreamResult;
  streams: StreamsResult[];
  bits: BitsResult[];
  mixed: MixedResult;
  kl: KlResult;
  peers: PeerResult[];
  peerStreams: PeerStreamsResult[];
}

/** Results of what was measured; what was not is absent. */
export type Results = Partial<ResultOf>;

/** The whole JSON file. */
export interface BenchReport {
  /** Raised whenever a field changes its meaning. */
  readonly schema: 1;
  readonly machine: Machine;
  /** Whether sizes were too small for the figures to mean anything. */
  readonly quick: boolean;
  readonly results: Results;
  /** What could not be measured, and why. */
  readonly notes: readonly string[];
}

/** The machine in a few lines. */
export function renderMachine(machine: Machine): string {
  const { cpu, cores, platform, deno, onnxRuntime, date } = machine;
  return [
    `${cpu}, ${cores} cores, ${platform}; ${date}`,
    `${machine.model} (SHA-256 ${
      machine.sha256.slice(0, 12)
    }…) on ${machine.engine}, ` +
    `${machine.threads} threads (${machine.reason})`,
    `Deno ${deno}, ONNX Runtime ${onnxRuntime}`,
  ].join("\n");
}

const RENDERERS: {
  [Name in keyof ResultOf]: (result: ResultOf[Name]) => string;
} = {
  prefill: (results) => renderSpeed("Prefill", results),
  decode: (results) => renderSpeed("Decode", results),
  cached: renderCached,
  recompute: renderRecompute,
  stream: renderStream,
  streams: renderStreams,
  bits: renderBits,
  mixed: renderMixed,
  kl: renderKl,
  peers: renderPeers,
  peerStreams: renderPeerStreams,
};

/** One result as a titled table. */
export function renderResult<Name extends keyof ResultOf>(
  name: Name,
  result: ResultOf[Name],
): string {
  return RENDERERS[name](result);
}

function renderSpeed(title: string, results: readonly SpeedResult[]): string {
  return section(`${title}, median of rounds`, {
    columns: ["held", "tokens/s", "ms/token", "tokens", "rounds"],
    rows: results.map(({ held, tokensPerSecond, tokens, rounds }) => [
      String(held),
      tokensPerSecond.toFixed(1),
      (1000 / tokensPerSecond).toFixed(2),
      String(tokens),
      String(rounds),
    ]),
  });
}

function renderCached(result: CachedResult): string {
  const { prompt, tokens, rounds, cachedMs, uncachedMs, ratio, agreement } =
    result;
  return section(
    `Decoding ${tokens} tokens after ${prompt}, medians of ${rounds} rounds`,
    {
      columns: ["", "seconds", "tokens/s", "ratio"],
      rows: [
        [
          "cached",
          seconds(cachedMs),
          (tokens / cachedMs * 1000).toFixed(1),
          "1",
        ],
        [
          "uncached",
          seconds(uncachedMs),
          (tokens / uncachedMs * 1000).toFixed(1),
          ratio.toFixed(2),
        ],
      ],
    },
  ) + `\nThe same token without the cache: ${percent(agreement)}`;
}

function renderRecompute(results: readonly RecomputeResult[]): string {
  return section(
    "Sink-window against a window recomputed for each token, median of rounds",
    {
      columns: [
        "held",
        "sink-window ms/token",
        "recompute ms/token",
        "ratio",
        "rounds",
      ],
      rows: results.map((
        { held, sinkWindowMs, recomputeMs, ratio, rounds },
      ) => [
        String(held),
        sinkWindowMs.toFixed(2),
        recomputeMs.toFixed(1),
        ratio.toFixed(1),
        String(rounds),
      ]),
    },
  );
}

function renderStream(result: StreamResult): string {
  const { tokens, sinks, window, source, every, samples } = result;
  const what = source === "text" ? "a text's" : "the model's own";
  const table = section(
    `Stream of ${tokens} tokens, ${what}, through ${sinks} + ${window}, one a run; each ${every}`,
    {
      columns: [
        "seen",
        "median ms",
        "mean ms",
        "cache MiB",
        "RSS MiB",
        "VmRSS MiB",
        "perplexity",
      ],
      rows: samples.map((sample) => [
        String(sample.seen),
        sample.medianMs.toFixed(2),
        sample.meanMs.toFixed(2),
        mebibytes(sample.cacheBytes),
        mebibytes(sample.rss),
        sample.vmRss === null ? "-" : mebibytes(sample.vmRss),
        sample.perplexity === null ? "-" : sample.perplexity.toFixed(2),
      ]),
    },
  );
  return `${table}\nVerdict: ${renderVerdict(result.verdict)}`;
}

/** A verdict in one line. */
export function renderVerdict(verdict: StreamVerdict | null): string {
  if (!verdict) return "none, the stream is too short";
  const { rssGrowth, warmup, cacheConstant, firstMs, lastMs, slowdown } =
    verdict;
  return `RSS grew by ${mebibytes(rssGrowth)} MiB after ${warmup} tokens; ` +
    `cache bytes ${cacheConstant ? "constant" : "CHANGED"}; ` +
    `${lastMs.toFixed(2)} ms/token at the end against ${
      firstMs.toFixed(2)
    } just past capacity ` +
    `(${slowdown.toFixed(2)} times)`;
}

function renderKl({ tokens, ours, llamaCpp }: KlResult): string {
  const rows = [["everstream", ours], ["llama.cpp", llamaCpp]] as const;
  return section(`Distance from an f32 reference over ${tokens} tokens`, {
    columns: ["", "mean KL (nats)", "max KL", "top-1 agreement"],
    rows: rows.map(([name, { meanKl, maxKl, top1Agreement }]) => [
      name,
      meanKl.toFixed(6),
      maxKl.toFixed(4),
      percent(top1Agreement),
    ]),
  });
}

function renderPeers(results: readonly PeerResult[]): string {
  return section(
    "Side by side, in turns, medians; ratios are ours over theirs",
    {
      columns: [
        "program",
        "held",
        "prefill t/s",
        "ratio",
        "decode t/s",
        "ratio",
        "threads",
        "turns",
      ],
      rows: results.map((result) => [
        result.name,
        String(result.held),
        result.prefillTokensPerSecond.toFixed(1),
        result.prefillRatio.toFixed(2),
        result.decodeTokensPerSecond.toFixed(1),
        result.decodeRatio.toFixed(2),
        String(result.threads),
        String(result.turns),
      ]),
    },
  );
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(2);
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
