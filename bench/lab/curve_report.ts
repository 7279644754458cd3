/** The curve as a table, a plot and a page. @module */
import type { CurveFigures, CurveSummary } from "./curve_summary.ts";
import { renderPage } from "./page.ts";
import type { Line, Plot } from "./plots.ts";
import { fixed, mebibytes, percent, type TitledTable } from "./tables.ts";

/** How many times fewer bytes than rows of 16 bits are aimed at. */
const AIM = 5;

/** The whole page. */
export function renderCurvePage(summary: CurveSummary): string {
  const { text, tokens, prompt, places } = summary;
  return renderPage({
    title: "Bytes against perplexity",
    lead:
      `Caches of ${tokens} tokens of ${text}, the last ${
        tokens - prompt
      } of them scored, ` +
      `from byte ${places.join(", ")} on.`,
    plots: [curvePlot(summary)],
    tables: [curveTable(summary)],
    summary,
  });
}

/** The figures of all caches. */
export function curveTable(summary: CurveSummary): TitledTable {
  const { points, tokens, prompt, fullBytes } = summary;
  return {
    title: `Caches of ${tokens} tokens after a prompt of ${prompt}`,
    note:
      `Bytes of one conversation, and how many times fewer than the ${
        mebibytes(fullBytes)
      } MiB of rows ` +
      "of 16 bits in all layers; perplexity, its change against rows of 32 bits in all layers ± one " +
      "standard error of the paired differences, KL from these and the share of equal most likely tokens; " +
      "milliseconds of a step of one token with a full cache.",
    table: {
      columns: [
        "",
        "MiB",
        "fewer",
        "perplexity",
        "change",
        "±",
        "KL",
        "same top",
        "ms step",
      ],
      rows: points.map(curveRow),
    },
  };
}

function curveRow(point: CurveFigures): string[] {
  const { change } = point;
  return [
    point.label,
    mebibytes(point.cacheBytes),
    `${point.saving.toFixed(2)} ×`,
    point.perplexity.toFixed(3),
    change ? `${((change.ratio - 1) * 100).toFixed(2)} %` : "-",
    change ? `${(change.standardError * 100).toFixed(2)} %` : "-",
    fixed(point.kl, 4),
    percent(point.agreement),
    fixed(point.stepMs, 1),
  ];
}

/** One line each for fewer bits and for lazy layers alone, and dots for both. */
export function curvePlot(
  { points, fullBytes, text, tokens }: CurveSummary,
): Plot {
  const drawn = points.toSorted((a, b) => a.cacheBytes - b.cacheBytes);
  const line = (
    style: Omit<Line, "values" | "dash">,
    has: (point: CurveFigures) => boolean,
  ): Line => ({
    ...style,
    dash: [],
    values: drawn.map((point) => has(point) ? point.perplexity : null),
  });
  const lines = [
    line(
      { label: "fewer bits", color: "#2563eb", dots: "joined" },
      ({ lazyLayers }) => lazyLayers === 0,
    ),
    line(
      { label: "lazy layers", color: "#db2777", dots: "joined" },
      ({ kvBits }) => kvBits === 32,
    ),
    line(
      { label: "both", color: "#0d9488", dots: "alone" },
      ({ kvBits, lazyLayers }) => kvBits < 32 && lazyLayers > 0,
    ),
  ];
  return {
    title: `Perplexity by bytes of a cache of ${tokens} tokens of ${text}`,
    xLabel: "cache of a conversation, MiB",
    yLabel: "perplexity",
    logarithmic: false,
    xLogarithmic: true,
    x: drawn.map(({ cacheBytes }) => cacheBytes / 2 ** 20),
    names: drawn.map(({ label }) => label),
    lines: lines.filter(({ values }) => values.some((value) => value !== null)),
    mark: {
      x: fullBytes / AIM / 2 ** 20,
      label: `a fifth of rows of 16 bits`,
    },
  };
}
