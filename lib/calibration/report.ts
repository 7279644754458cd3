/** A calibration for people to read. @module */
import type { Calibration } from "./calibration.ts";

/** A line for each layer, and what is proposed. */
export function formatCalibration(
  { tokens, places, threshold, lazyLayers, keptLayers, mass, losses }:
    Calibration,
): string {
  const layers = mass.map((of, layer) => {
    const bar = "#".repeat(Math.round(40 * of)).padEnd(40, ".");
    const loss = losses[layer]?.toFixed(4) ?? "     –";
    const kept = keptLayers.includes(layer) ? "  kept" : "  lazy";
    return `${String(layer).padStart(5)}  ${of.toFixed(3)}  ${bar}  ${loss}` +
      (of >= threshold ? kept : "");
  });
  return [
    `Layers by their attention on near tokens, and the loss (KL, nats) if they attend to nothing else ` +
    `(${places} conversations of ${tokens} tokens):`,
    ...layers,
    `EVERSTREAM_LAZY_LAYERS=auto is ${lazyLayers} of ${mass.length} layers from now on`,
  ].join("\n");
}
