/** From losses to figures: what the reports show. @module */
import type { KvBits } from "../../lib/cache/cache_format.ts";
import { lazyWindow } from "../../lib/cache/lazy_layers.ts";
import type { Machine } from "../machine.ts";
import type { RecallResult } from "./recall.ts";
import type { LabRecord, RecomputeRecord, StreamRecord } from "./record.ts";
import {
  type Drift,
  drift,
  estimate,
  perplexity,
  type PerplexityRatio,
  perplexityRatio,
  stretches,
} from "./series.ts";

/** Tokens of one point of the plots. */
export const STRETCH = 512;

/** A policy's figures. */
export interface PolicyFigures {
  readonly label: string;
  readonly kind: StreamRecord["kind"] | "window-recompute";
  readonly sinks: number;
  readonly window: number;
  readonly kvBits: KvBits;
  readonly lazyLayers: number;
  /** Tokens that were scored. */
  readonly tokens: number;
  /** Over all of them; `null` where only a sample was scored. */
  readonly perplexity: number | null;
  /** Over all after {@linkcode LabSummary.start}; `null` if it did not go to the text's end. */
  readonly evicted: number | null;
  /** Over the sampled positions alone; `null` without a sample, or if it did not go so far. */
  readonly sampled: number | null;
  /** Distances from `full`, as far as it went; `null` without it. */
  readonly distance: FullDistance | null;
  readonly cacheBytes: number;
  /** Milliseconds a token; `null` if it cannot run so. */
  readonly chunkMs: number | null;
  readonly stepMs: number | null;
  /** Perplexity of each {@linkcode STRETCH} tokens, and their mean KL(full ‖ policy), nats. */
  readonly curve: readonly number[];
  readonly klCurve: readonly number[];
}

/** How far a policy is from `full` on average. */
export interface FullDistance {
  /** KL(full ‖ policy), nats, and the share of the same most likely tokens: before it evicts… */
  readonly klBefore: number;
  readonly agreementBefore: number;
  /** …and after {@linkcode LabSummary.start}; `null` if `full` did not go so far. */
  readonly kl: number | null;
  readonly agreement: number | null;
}

/** One policy's perplexity over another's, on the same tokens. */
export interface Comparison extends PerplexityRatio {
  readonly label: string;
  readonly other: string;
  /** How it changes along the text; `null` for a stretch too short to say. */
  readonly drift: Drift | null;
}

/** All that the reports show. */
export interface LabSummary {
  readonly machine: Machine;
  readonly text: string;
  readonly skip: number;
  readonly tokens: number;
  /** The first query before which all policies but `full` have evicted something. */
  readonly start: number;
  readonly policies: readonly PolicyFigures[];
  /** `window` over `sink-window` of the same W, all tokens from `start` on. */
  readonly withoutSinks: readonly Comparison[];
  /** Fewer bits and lazy layers over `sink-window` of the same S and W, all tokens from `start` on. */
  readonly againstPlain: readonly Comparison[];
  /** All of one W over `window-recompute` of that W, at the sampled positions. */
  readonly againstRecompute: readonly Comparison[];
  readonly recall: readonly RecallResult[];
}

/** The figures of a record. */
export function summarizeLab(record: LabRecord): LabSummary {
  const { machine, text, skip, tokens, streams, recomputed, recall } = record;
  const start = startOf(record);
  const sample = recomputed[0]?.positions ?? [];
  const bounded = streams.filter(({ kind }) => kind !== "full");
  const plain = bounded.filter(({ kind, kvBits }) =>
    kind === "sink-window" && kvBits === 32
  );
  return {
    machine,
    text,
    skip,
    tokens,
    start,
    policies: [
      ...streams.map((stream) =>
        streamFigures(stream, { start, sample, tokens })
      ),
      ...recomputed.map(recomputeFigures),
    ],
    withoutSinks: bounded.filter(({ kind }) => kind === "window").flatMap((
      window,
    ) =>
      plain.filter((other) => other.window === window.window)
        .flatMap((other) => comparisonOf(window, other, start))
    ),
    againstPlain: bounded.filter(({ kvBits, lazyLayers }) =>
      kvBits < 32 || lazyLayers > 0
    ).flatMap((stream) =>
      plain.filter(({ sinks, window }) =>
        sinks === stream.sinks && window === stream.window
      ).flatMap((other) => comparisonOf(stream, other, start))
    ),
    againstRecompute: recomputed.flatMap((rebuilt) =>
      bounded.filter(({ window }) =>
        window === rebuilt.window && rebuilt.positions.length > 0
      )
        .map((stream) => recomputeComparison(stream, rebuilt))
    ),
    recall,
  };
}

function startOf({ streams, recomputed }: LabRecord): number {
  return Math.max(
    0,
    ...streams.filter(({ kind }) => kind !== "full")
      .map(({ sinks, window }) => sinks + window),
    ...recomputed.map(({ window }) => window),
  );
}

function streamFigures(
  stream: StreamRecord,
  { start, sample, tokens }: {
    start: number;
    sample: readonly number[];
    tokens: number;
  },
): PolicyFigures {
  const { label, kind, sinks, window, kvBits, lazyLayers, losses } = stream;
  const whole = losses.length === tokens;
  const sampled = whole ? at(losses, sample) : [];
  return {
    label,
    kind,
    sinks,
    window,
    kvBits,
    lazyLayers,
    tokens: losses.length,
    perplexity: perplexity(losses),
    evicted: whole && start < tokens ? perplexity(losses.slice(start)) : null,
    sampled: sampled.length === 0 ? null : perplexity(sampled),
    distance: distanceOf(stream, start),
    cacheBytes: stream.cacheBytes,
    chunkMs: stream.chunkMs,
    stepMs: stream.stepMs,
    curve: stretches(losses, STRETCH, perplexity),
    klCurve: stretches(stream.divergences, STRETCH, meanOf),
  };
}

function recomputeFigures(rebuilt: RecomputeRecord): PolicyFigures {
  const { window, losses, cacheBytes, stepMs } = rebuilt;
  return {
    label: recomputeLabel(rebuilt),
    kind: "window-recompute",
    sinks: 0,
    window,
    kvBits: 32,
    lazyLayers: 0,
    tokens: losses.length,
    perplexity: null,
    evicted: null,
    sampled: losses.length === 0 ? null : perplexity(losses),
    distance: null,
    cacheBytes,
    chunkMs: null,
    stepMs,
    curve: [],
    klCurve: [],
  };
}

function distanceOf(
  { sinks, window, lazyLayers, divergences, agreements }: StreamRecord,
  start: number,
): FullDistance | null {
  const held = sinks + (lazyLayers > 0 ? lazyWindow(window) : window);
  const before = divergences.slice(0, held);
  if (before.length === 0) return null;
  const after = divergences.length > start;
  return {
    klBefore: meanOf(before),
    agreementBefore: meanOf(agreements.slice(0, before.length)),
    kl: after ? meanOf(divergences.slice(start)) : null,
    agreement: after ? meanOf(agreements.slice(start)) : null,
  };
}

function meanOf(values: readonly number[]): number {
  return estimate(values).mean;
}

function comparisonOf(
  one: StreamRecord,
  other: StreamRecord,
  start: number,
): Comparison[] {
  const positions = Array.from(
    { length: Math.max(0, one.losses.length - start) },
    (_, i) => start + i,
  );
  if (positions.length === 0) return [];
  return [{
    label: one.label,
    other: other.label,
    ...compare(
      positions,
      at(one.losses, positions),
      at(other.losses, positions),
    ),
  }];
}

function recomputeComparison(
  stream: StreamRecord,
  rebuilt: RecomputeRecord,
): Comparison {
  const { positions, losses: others } = rebuilt;
  return {
    label: stream.label,
    other: recomputeLabel(rebuilt),
    ...compare(positions, at(stream.losses, positions), others),
  };
}

function compare(
  positions: readonly number[],
  losses: readonly number[],
  others: readonly number[],
): Omit<Comparison, "label" | "other"> {
  return {
    ...perplexityRatio(losses, others),
    drift: losses.length < 3 ? null : drift(positions, losses, others),
  };
}

function recomputeLabel({ window }: { window: number }): string {
  return `window-recompute ${window}`;
}

/** Values at the positions that there are. */
function at(
  values: readonly number[],
  positions: readonly number[],
): number[] {
  return positions.filter((position) => position < values.length)
    .map((position) => values[position]!);
}
