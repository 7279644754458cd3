/**
 * The cache as a strip of cells: sinks at the left, then the ring of the window. The newest token
 * is the head; the older a token is, the paler its cell, and behind the head comes the oldest one.
 */

const CELL = 6; // pixels from cell to cell, at least
const GAP = 1.5;
const TOP = 7; // pixels above the cells, for the head's mark

/** Keeps a canvas showing the last state given to `draw`. */
export function cacheStrip(canvas) {
  let cache = null;
  let waiting = false;

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      paint(canvas, cache);
    });
  }

  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return {
    draw(state) {
      cache = state;
      canvas.setAttribute("aria-label", describe(state));
      redraw();
    },
  };
}

function describe(cache) {
  if (!cache) return "The cache is empty";
  const { held, capacity, sinks, seen, evicted } = cache;
  return `The cache holds ${held} of ${capacity} tokens, ${sinks} of them sinks; ` +
    `${seen} seen, ${evicted} evicted`;
}

function paint(canvas, cache) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const colours = coloursOf(canvas);
  const fit = Math.max(1, Math.floor(width / CELL));
  const capacity = cache?.capacity ?? fit;
  const cells = Math.min(capacity, fit);
  const step = width / cells;
  const head = cache && cache.held > 0 ? headSlot(cache) : -1;
  const headCell = Math.floor(head * cells / capacity);
  for (let i = 0; i < cells; i++) {
    // With less room than tokens a cell stands for several; its first one speaks for it.
    const slot = Math.ceil(i * capacity / cells);
    const { colour, alpha } = look(slot, { cache, head, colours });
    context.globalAlpha = alpha;
    context.fillStyle = i === headCell && head >= 0 ? colours.head : colour;
    if (i === headCell && head >= 0) context.globalAlpha = 1;
    cell(context, { x: i * step, width: step, height });
  }
  context.globalAlpha = 1;
  if (head >= 0) mark(context, (headCell + 0.5) * step, colours.head);
}

/** The slot that the newest token is in. */
function headSlot({ held, seen, evicted, capacity, sinks }) {
  if (evicted === 0 || capacity <= sinks) return held - 1;
  return sinks + (seen - sinks - 1) % (capacity - sinks);
}

function look(slot, { cache, head, colours }) {
  const empty = { colour: colours.cell, alpha: 1 };
  if (!cache) return empty;
  const { held, capacity, sinks } = cache;
  if (slot < sinks) {
    return slot < held ? { colour: colours.sink, alpha: 1 } : empty;
  }
  const ring = Math.max(1, capacity - sinks);
  const age = (head - slot + ring) % ring;
  // Where messages leave whole, the oldest rows of a full ring can be seen no more.
  if (age >= held - sinks) return empty;
  return { colour: colours.window, alpha: 1 - 0.72 * age / ring };
}

function cell(context, { x, width, height }) {
  const gap = Math.min(GAP, width / 4);
  context.beginPath();
  context.roundRect(x + gap / 2, TOP, width - gap, height - TOP, 2);
  context.fill();
}

function mark(context, x, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x - 4, 0);
  context.lineTo(x + 4, 0);
  context.lineTo(x, TOP - 2);
  context.fill();
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    cell: of("cell"),
    sink: of("sink"),
    window: of("window"),
    head: of("head"),
  };
}
