/** The report on policies as a page. @module */
import { renderPage } from "./page.ts";
import { plotsOf } from "./plots.ts";
import { tablesOf } from "./report_text.ts";
import type { LabSummary } from "./summary.ts";

/** The whole page. */
export function renderHtml(summary: LabSummary): string {
  const { text, skip, tokens } = summary;
  return renderPage({
    title: "Cache policies on a text",
    lead: `${tokens} tokens of ${text}, from byte ${skip} on.`,
    plots: plotsOf(summary),
    tables: tablesOf(summary),
    summary,
  });
}
