/** The perplexities as a small picture that needs no script. @module */
import { escaped } from "./markup.ts";
import { type Line, perplexityPlot, type Plot } from "./plots.ts";
import type { LabSummary, PolicyFigures } from "./summary.ts";

const WIDTH = 860;
const HEIGHT = 420;
/** Room around the plot; names of lines are at its right. */
const EDGE = { left: 56, top: 36, right: 150, bottom: 44 };
const LINE_HEIGHT = 15;
/** Sinks whose lines are drawn, where there are several numbers. */
const SINKS = 4;

/** Perplexity along the text: `full`, and each window with and without sinks, of plain rows. */
export function renderSvg(summary: LabSummary): string {
  const policies = summary.policies.filter(isDrawn(summary));
  const plot = perplexityPlot({ ...summary, policies });
  const scale = scaleOf(plot);
  const [start, end] = [EDGE.left, WIDTH - EDGE.right];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${start}" y="20" font-size="14">${
    escaped(`${plot.title} of ${summary.text} (log scale)`)
  }</text>
${
    scale.yTicks.map((value) => {
      const y = scale.y(value);
      return `<path d="M${start} ${y}H${end}" stroke="#e3e6e3"/>` +
        `<text x="${start - 8}" y="${
          y + 4
        }" text-anchor="end" fill="#555">${value}</text>`;
    }).join("\n")
  }
${
    scale.xTicks.map((value) =>
      `<text x="${scale.x(value)}" y="${
        HEIGHT - EDGE.bottom + 18
      }" text-anchor="middle" fill="#555">${value}</text>`
    ).join("\n")
  }
<text x="${(start + end) / 2}" y="${
    HEIGHT - 6
  }" text-anchor="middle" fill="#555">${plot.xLabel}</text>
${plot.lines.map((line) => renderLine(line, plot, scale)).join("\n")}
${renderLabels(plot, scale)}
</svg>
`;
}

/** All but `sink-window`s whose number of sinks is not the usual one, if there are such with it, and fewer bits. */
function isDrawn({ policies }: LabSummary): (policy: PolicyFigures) => boolean {
  const usual = policies.some(({ kind, sinks }) =>
    kind === "sink-window" && sinks === SINKS
  );
  return ({ kind, sinks, kvBits }) =>
    kvBits === 32 && (kind !== "sink-window" || !usual || sinks === SINKS);
}

/** From values to places. */
interface Scale {
  x(value: number): number;
  y(value: number): number;
  readonly xTicks: readonly number[];
  readonly yTicks: readonly number[];
}

function scaleOf({ x, lines }: Plot): Scale {
  const values = lines.flatMap(({ values }) => values)
    .filter((value) => value !== null);
  const [low, high] = [
    Math.log(Math.min(...values) / 1.08),
    Math.log(Math.max(...values) * 1.08),
  ];
  const [width, height] = [
    WIDTH - EDGE.left - EDGE.right,
    HEIGHT - EDGE.top - EDGE.bottom,
  ];
  const last = x.at(-1) ?? 1;
  const step = 10 ** Math.floor(Math.log10(last));
  const every = last / step < 3 ? step / 2 : step;
  return {
    x: (value) => round(EDGE.left + width * value / last),
    y: (value) =>
      round(EDGE.top + height * (high - Math.log(value)) / (high - low)),
    xTicks: Array.from(
      { length: Math.floor(last / every) + 1 },
      (_, i) => i * every,
    ),
    yTicks: [1, 2, 3, 5, 7].flatMap((digit) =>
      [1, 10, 100, 1000, 10_000].map((power) => digit * power)
    ).filter((value) => Math.log(value) > low && Math.log(value) < high),
  };
}

function renderLine({ values, color, dash }: Line, plot: Plot, scale: Scale) {
  const points = values.flatMap((value, i) =>
    value === null ? [] : [`${scale.x(plot.x[i]!)},${scale.y(value)}`]
  );
  return `<polyline points="${
    points.join(" ")
  }" fill="none" stroke="${color}" stroke-width="1.8"${
    dash.length === 0 ? "" : ` stroke-dasharray="${dash.join(" ")}"`
  }/>`;
}

/** Names at the lines' ends, pushed apart where they would overlap. */
function renderLabels({ lines }: Plot, scale: Scale): string {
  const labels = lines.map(({ label, color, values }) => ({
    label,
    color,
    y: scale.y(values.findLast((value) => value !== null)!),
  })).sort((a, b) => a.y - b.y);
  for (const [i, label] of labels.entries()) {
    const above = labels[i - 1];
    if (above) label.y = Math.max(label.y, above.y + LINE_HEIGHT);
  }
  let most = HEIGHT - EDGE.bottom;
  for (const label of labels.toReversed()) {
    label.y = Math.min(label.y, most);
    most = label.y - LINE_HEIGHT;
  }
  const x = WIDTH - EDGE.right + 8;
  return labels.map(({ label, color, y }) =>
    `<text x="${x}" y="${y + 4}" fill="${color}">${escaped(label)}</text>`
  ).join("\n");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
