// Draws the plots of the report's data; uPlot comes before it on the page.
const plots = JSON.parse(document.getElementById("plots").textContent);
const width = Math.min(1040, document.body.clientWidth - 16);

for (const [i, plot] of plots.entries()) {
  const options = {
    width,
    height: 400,
    scales: {
      x: { time: false, distr: plot.xLogarithmic ? 3 : 1, log: 2 },
      y: { distr: plot.logarithmic ? 3 : 1 },
    },
    axes: [{ label: plot.xLabel }, { label: plot.yLabel, size: 60 }],
    series: [
      { label: plot.xLabel },
      ...plot.lines.map(({ label, color, dash, dots }) => ({
        label,
        stroke: color,
        dash,
        width: 1.6,
        spanGaps: true,
        points: { show: dots !== undefined, size: 9, fill: color },
        ...(dots === "alone" ? { paths: () => null } : {}),
        value: (_, value) =>
          value === null ? "–" : Number(value).toPrecision(4),
      })),
    ],
    hooks: { draw: [(u) => drawMark(u, plot.mark), (u) => drawNames(u, plot)] },
  };
  const data = [plot.x, ...plot.lines.map(({ values }) => values)];
  new uPlot(options, data, document.getElementById(`plot${i}`));
}

/** A vertical line with its name, if there is one. */
function drawMark(u, mark) {
  if (!mark) return;
  const { x, label } = mark;
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const at = u.valToPos(x, "x", true);
  if (at < left || at > left + width) return;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = "#888";
  ctx.setLineDash([4, 4]);
  ctx.beginPath();
  ctx.moveTo(at, top);
  ctx.lineTo(at, top + height);
  ctx.stroke();
  ctx.textAlign = "left";
  ctx.fillText(label, at + 6, top + 14);
  ctx.restore();
}

/** What dots are called. */
function drawNames(u, { x, lines, names = [] }) {
  const { ctx } = u;
  ctx.save();
  ctx.fillStyle = "#555";
  ctx.textAlign = "left";
  for (const [i, name] of names.entries()) {
    for (const { values } of lines) {
      if (values[i] === null) continue;
      const at = [
        u.valToPos(x[i], "x", true),
        u.valToPos(values[i], "y", true),
      ];
      ctx.fillText(name, at[0] + 7, at[1] - 7);
    }
  }
  ctx.restore();
}
