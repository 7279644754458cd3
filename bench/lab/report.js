// Draws the plots of the report's data; uPlot comes before it on the page.
const plots = JSON.parse(document.getElementById("plots").textContent);
const width = Math.min(1040, document.body.clientWidth - 16);

for (const [i, plot] of plots.entries()) {
  const dots = plot.lines.every(({ dots }) => dots);
  const options = {
    width,
    height: 400,
    scales: { x: { time: false }, y: { distr: plot.logarithmic ? 3 : 1 } },
    axes: [{ label: plot.xLabel }, { label: plot.yLabel, size: 60 }],
    series: [
      { label: plot.xLabel },
      ...plot.lines.map(({ label, color, dash }) => ({
        label,
        stroke: color,
        dash,
        width: 1.6,
        points: { show: dots, size: 9, fill: color },
        ...(dots ? { paths: () => null } : {}),
        value: (_, value) =>
          value === null ? "–" : Number(value).toPrecision(4),
      })),
    ],
    hooks: plot.mark ? { draw: [(u) => drawMark(u, plot.mark)] } : {},
  };
  const data = [plot.x, ...plot.lines.map(({ values }) => values)];
  new uPlot(options, data, document.getElementById(`plot${i}`));
}

/** A vertical line with its name. */
function drawMark(u, { x, label }) {
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
