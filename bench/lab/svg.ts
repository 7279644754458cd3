/** The perplexities of policies as a small picture. @module */
import { renderPlot } from "./plot_svg.ts";
import { perplexityPlot } from "./plots.ts";
import type { LabSummary, PolicyFigures } from "./summary.ts";

/** Sinks whose lines are drawn, where there are several numbers. */
const SINKS = 4;

/** Perplexity along the text: `full`, and each window with and without sinks, of plain rows. */
export function renderSvg(summary: LabSummary): string {
  const policies = summary.policies.filter(isDrawn(summary));
  const plot = perplexityPlot({ ...summary, policies });
  const title = `${plot.title} of ${summary.text} (log scale)`;
  return renderPlot({ ...plot, title });
}

/** All but `sink-window`s whose number of sinks is not the usual one, if there are such with it, and fewer bits. */
function isDrawn({ policies }: LabSummary): (policy: PolicyFigures) => boolean {
  const usual = policies.some(({ kind, sinks }) =>
    kind === "sink-window" && sinks === SINKS
  );
  return ({ kind, sinks, kvBits }) =>
    kvBits === 32 && (kind !== "sink-window" || !usual || sinks === SINKS);
}
