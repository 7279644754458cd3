/** What a run of the turns prints. @module */
import { section } from "../../lib/program/table.ts";
import type { TurnsResult } from "./measure.ts";

/** Conversations side by side as a table, and what they met at their limit. */
export function renderTurns(results: readonly TurnsResult[]): string {
  const table = section(
    "Turns side by side: milliseconds to the first text of an answer and to its end, tokens of the " +
      "prompt that were computed (medians)",
    {
      columns: [
        "",
        "turns",
        "first text",
        "slowest",
        "÷ first turns'",
        "whole turn",
        "computed",
        "cache MiB",
      ],
      rows: results.flatMap(({ name, first, middle, last }) =>
        [first, middle, last].map((stretch, i) => [
          i === 0 ? name : "",
          `${stretch.from}–${stretch.to}`,
          stretch.firstMs.toFixed(0),
          stretch.slowestFirstMs.toFixed(0),
          (stretch.firstMs / first.firstMs).toFixed(2),
          stretch.ms.toFixed(0),
          known(stretch.computed, (tokens) => tokens.toFixed(0)),
          known(stretch.cacheBytes, (bytes) => (bytes / 2 ** 20).toFixed(1)),
        ])
      ),
    },
  );
  const limits = results.flatMap(({ name, refused, forgotten }) => [
    ...(refused
      ? [`${name}: turn ${refused.turn} was refused: ${refused.reason}`]
      : []),
    ...(forgotten > 0
      ? [`${name}: its client had to forget ${forgotten} messages`]
      : []),
  ]);
  return [table, ...limits].join("\n");
}

function known(value: number | null, text: (value: number) => string): string {
  return value === null ? "-" : text(value);
}
