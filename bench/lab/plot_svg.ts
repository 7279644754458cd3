/** A plot as a small picture that needs no script. @module */
import { type Axis, linearAxis, logAxis } from "./axis.ts";
import { escaped } from "./markup.ts";
import type { Line, Plot } from "./plots.ts";

const WIDTH = 860;
const HEIGHT = 420;
/** Room around the plot; names of lines are at its right. */
const EDGE = { left: 56, top: 36, right: 150, bottom: 44 };
const LINE_HEIGHT = 15;

/** The picture; lines have at least one value. */
export function renderPlot(plot: Plot): string {
  const scale = scaleOf(plot);
  const [start, end] = [EDGE.left, WIDTH - EDGE.right];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${start}" y="20" font-size="14">${escaped(plot.title)}</text>
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
${plot.mark ? renderMark(plot.mark, scale) : ""}
${plot.lines.map((line) => renderLine(line, plot, scale)).join("\n")}
${renderLabels(plot, scale)}
</svg>
`;
}

/** From values to places. */
interface Scale {
  x(value: number): number;
  y(value: number): number;
  readonly xTicks: readonly number[];
  readonly yTicks: readonly number[];
}

function scaleOf(plot: Plot): Scale {
  const [x, y] = [xAxis(plot), yAxis(plot)];
  const [width, height] = [
    WIDTH - EDGE.left - EDGE.right,
    HEIGHT - EDGE.top - EDGE.bottom,
  ];
  return {
    x: (value) => round(EDGE.left + width * x.share(value)),
    y: (value) => round(EDGE.top + height * (1 - y.share(value))),
    xTicks: x.ticks,
    yTicks: y.ticks,
  };
}

function xAxis({ x, mark, xLogarithmic = false }: Plot): Axis {
  const shown = mark ? [...x, mark.x] : x;
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  return xLogarithmic
    ? logAxis(low / 1.2, high * 1.2, { base: 2 })
    : linearAxis(0, high);
}

function yAxis({ lines, logarithmic }: Plot): Axis {
  const values = lines.flatMap(({ values }) => values)
    .filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (logarithmic) {
    const multiples = [1, 2, 3, 5, 7];
    return logAxis(low / 1.08, high * 1.08, { base: 10, multiples });
  }
  const margin = (high - low || 1) * 0.08;
  return linearAxis(low - margin, high + margin);
}

function renderMark({ x, label }: { x: number; label: string }, scale: Scale) {
  const at = scale.x(x);
  return `<path d="M${at} ${EDGE.top}V${
    HEIGHT - EDGE.bottom
  }" stroke="#888" stroke-dasharray="4 4"/>` +
    `<text x="${at}" y="${EDGE.top - 4}" font-size="10" fill="#888">${
      escaped(label)
    }</text>`;
}

function renderLine(line: Line, plot: Plot, scale: Scale): string {
  const dots = line.dots ? renderDots(line, plot, scale) : "";
  return line.dots === "alone" ? dots : renderPath(line, plot, scale) + dots;
}

function renderPath({ values, color, dash }: Line, plot: Plot, scale: Scale) {
  const points = values.flatMap((value, i) =>
    value === null ? [] : [`${scale.x(plot.x[i]!)},${scale.y(value)}`]
  );
  return `<polyline points="${
    points.join(" ")
  }" fill="none" stroke="${color}" stroke-width="1.8"${
    dash.length === 0 ? "" : ` stroke-dasharray="${dash.join(" ")}"`
  }/>`;
}

/** Dots, each with its name if it has one. */
function renderDots({ values, color }: Line, plot: Plot, scale: Scale) {
  return values.map((value, i) => {
    if (value === null) return "";
    const [x, y] = [scale.x(plot.x[i]!), scale.y(value)];
    const name = plot.names?.[i];
    return `<circle cx="${x}" cy="${y}" r="3.5" fill="${color}"/>` +
      (name === undefined
        ? ""
        : `<text x="${x + 5}" y="${round(y - 5)}" font-size="10" fill="#555">${
          escaped(name)
        }</text>`);
  }).join("");
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
