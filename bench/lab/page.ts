/** A report as one page that needs nothing else: its script, styles and data are inside. @module */
import plotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import plotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import type { Machine } from "../machine.ts";
import { renderMachine } from "../report.ts";
import { escaped } from "./markup.ts";
import type { Plot } from "./plots.ts";
import script from "./report.js" with { type: "text" };
import style from "./report.css" with { type: "text" };
import type { TitledTable } from "./tables.ts";

/** What a page shows. */
export interface Page {
  readonly title: string;
  /** What was measured. */
  readonly lead: string;
  readonly plots: readonly Plot[];
  readonly tables: readonly TitledTable[];
  /** Kept in the page as JSON. */
  readonly summary: { readonly machine: Machine };
}

/** The whole page. */
export function renderPage(
  { title, lead, plots, tables, summary }: Page,
): string {
  const machine = renderMachine(summary.machine).split("\n");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Everstream: ${escaped(title)}</title>
<style>${plotStyle}${style}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${[lead, ...machine].map((line) => `<p>${escaped(line)}</p>`).join("\n")}
${
    plots.map(({ title }, i) =>
      `<h2>${escaped(title)}</h2>\n<div id="plot${i}"></div>`
    ).join("\n")
  }
${tables.map(renderTable).join("\n")}
<script type="application/json" id="summary">${json(summary)}</script>
<script type="application/json" id="plots">${json(plots)}</script>
<script>${inScript(plotScript)}</script>
<script>${inScript(script)}</script>
</body>
</html>
`;
}

function renderTable({ title, note, table }: TitledTable): string {
  const row = (cells: readonly string[], tag: "th" | "td") =>
    `<tr>${
      cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")
    }</tr>`;
  return `<h2>${escaped(title)}</h2>
<p>${escaped(note)}</p>
<div class="table"><table>
${row(table.columns, "th")}
${table.rows.map((cells) => row(cells, "td")).join("\n")}
</table></div>`;
}

/** JSON that no tag can end; numbers to five digits. */
function json(value: unknown): string {
  const short = (_: string, item: unknown) =>
    typeof item === "number" && !Number.isInteger(item)
      ? Number(item.toPrecision(5))
      : item;
  return JSON.stringify(value, short).replaceAll("<", "\\u003c");
}

/** JavaScript that no tag can end. */
function inScript(source: string): string {
  return source.replaceAll("</script", "<\\/script");
}
