/** A calibration for people to read. @module */
import type { Calibration } from "./calibration.ts";

/** A line for each layer, and what is proposed. */
export function formatCalibration(
  { tokens, places, threshold, lazyLayers, mass }: Calibration,
): string {
  const layers = mass.map((of, layer) => {
    const bar = "#".repeat(Math.round(40 * of)).padEnd(40, ".");
    const lazy = of >= threshold ? "  lazy" : "";
    return `${String(layer).padStart(5)}  ${of.toFixed(3)}  ${bar}${lazy}`;
  });
  return [
    `Attention on near tokens by layer (${places} conversations of ${tokens} tokens):`,
    ...layers,
    `${lazyLayers} of ${mass.length} layers have ${threshold} or more: EVERSTREAM_LAZY_LAYERS=auto is ${lazyLayers} from now on`,
  ].join("\n");
}
