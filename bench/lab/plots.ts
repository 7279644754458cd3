/** What the plots draw: lines with names, before any library or file format. @module */
import type { KvBits } from "../../lib/cache/cache_format.ts";
import { type LabSummary, type PolicyFigures, STRETCH } from "./summary.ts";

/** One line of a plot; `null` where it has no value. */
export interface Line {
  readonly label: string;
  /** CSS. */
  readonly color: string;
  /** Lengths of dashes and gaps; none for a solid line. */
  readonly dash: readonly number[];
  readonly values: readonly (number | null)[];
  /** Whether to draw a dot for each value, without a line or on it. */
  readonly dots?: "alone" | "joined";
}

/** Lines over a common axis. */
export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Whether the y axis is logarithmic. */
  readonly logarithmic: boolean;
  readonly xLogarithmic?: boolean;
  /** Ascending. */
  readonly x: readonly number[];
  /** What dots at each x are called. */
  readonly names?: readonly string[];
  readonly lines: readonly Line[];
  /** A vertical line: where something is expected. */
  readonly mark?: { readonly x: number; readonly label: string };
}

/** All plots that there are values for. */
export function plotsOf(summary: LabSummary): Plot[] {
  return [
    perplexityPlot(summary),
    klPlot(summary),
    bytesPlot(summary),
    ...recallPlots(summary),
  ].filter(({ lines, x }) => lines.length > 0 && x.length > 0);
}

/** Perplexity along the text. */
export function perplexityPlot(summary: LabSummary): Plot {
  return curvePlot(summary, {
    title: `Perplexity of each ${STRETCH} tokens`,
    yLabel: "perplexity",
    curve: ({ curve }) => curve,
  });
}

function klPlot(summary: LabSummary): Plot {
  return curvePlot(summary, {
    title: `Distance from full, means of ${STRETCH} tokens`,
    yLabel: "KL(full ‖ policy), nats",
    curve: ({ kind, klCurve }) => kind === "full" ? [] : klCurve,
  });
}

function curvePlot(
  { policies, start }: LabSummary,
  { title, yLabel, curve }: {
    title: string;
    yLabel: string;
    curve: (policy: PolicyFigures) => readonly number[];
  },
): Plot {
  const drawn = policies.filter((policy) => curve(policy).length > 0);
  const length = Math.max(0, ...drawn.map((policy) => curve(policy).length));
  return {
    title,
    yLabel,
    xLabel: "position in the text, tokens",
    logarithmic: true,
    x: Array.from({ length }, (_, i) => (i + 1) * STRETCH),
    lines: drawn.map((policy) => ({
      ...styleOf(policy),
      values: padded(curve(policy), length),
    })),
    mark: { x: start, label: "all have evicted" },
  };
}

/** What bytes buy: one dot a policy. */
function bytesPlot({ policies }: LabSummary): Plot {
  const drawn = policies.filter(({ evicted }) => evicted !== null)
    .toSorted((a, b) => a.cacheBytes - b.cacheBytes);
  return {
    title: "Perplexity after eviction by cache size",
    xLabel: "cache, MiB",
    yLabel: "perplexity",
    logarithmic: true,
    x: drawn.map(({ cacheBytes }) => cacheBytes / 2 ** 20),
    lines: drawn.map((policy, at) => ({
      ...styleOf(policy),
      dots: "alone",
      values: drawn.map((_, i) => i === at ? policy.evicted : null),
    })),
  };
}

function recallPlots({ recall }: LabSummary): Plot[] {
  const [first] = recall;
  if (!first) return [];
  const edge = recall.find(({ arithmeticEdge }) => arithmeticEdge !== null);
  const common = {
    xLabel: "tokens between fact and question",
    logarithmic: false,
    x: first.points.map(({ distance }) => distance),
    ...(edge
      ? { mark: { x: edge.arithmeticEdge! + 0.5, label: "edge of the window" } }
      : {}),
  };
  const lines = (value: "accuracy" | "margin") =>
    recall.map(({ label, points }) => ({
      label,
      color: label === "full" ? FULL : COLORS[2]!,
      dash: [],
      values: points.map((point) => point[value]),
    }));
  return [
    {
      ...common,
      title: "Recall: share of facts told from wrong ones",
      yLabel: "share",
      lines: lines("accuracy"),
    },
    {
      ...common,
      title: "Recall: log probability over the likeliest wrong answer",
      yLabel: "nats",
      lines: lines("margin"),
    },
  ];
}

const FULL = "#444444";
/** One for each number of sinks. */
const COLORS = ["#7c3aed", "#2563eb", "#0d9488", "#65a30d", "#b45309"];
/** One for each number of bits. */
const LAZY: Colors = {
  32: "#db2777",
  16: "#be185d",
  8: "#9d174d",
  4: "#831843",
};
const CODED: Colors = { 32: "", 16: "#0891b2", 8: "#0e7490", 4: "#155e75" };
type Colors = Readonly<Record<KvBits, string>>;
const DASHES = [[], [8, 4], [2, 4], [10, 3, 2, 3]];

/** Colour says the kind, and the sinks or the bits; dashes the window. */
function styleOf(
  { label, kind, sinks, window, kvBits }: PolicyFigures,
): Pick<Line, "label" | "color" | "dash"> {
  const dash = kind === "full" ? [] : DASHES[dashOf(window)]!;
  if (kind === "full") return { label, color: FULL, dash };
  if (kind === "window") return { label, color: "#dc2626", dash };
  if (kind === "window-recompute") return { label, color: "#d97706", dash };
  if (kind === "simplayer") return { label, color: LAZY[kvBits], dash };
  if (kvBits < 32) return { label, color: CODED[kvBits], dash };
  const shade = Math.min(COLORS.length - 1, Math.round(Math.log2(sinks)));
  return { label, color: COLORS[shade]!, dash };
}

/** Wider windows are drawn more solid. */
function dashOf(window: number): number {
  if (window > 768) return 0;
  return window > 384 ? 1 : 2;
}

function padded(
  values: readonly number[],
  length: number,
): (number | null)[] {
  return [...values, ...Array<null>(length - values.length).fill(null)];
}
