/** What the reports on policies say in tables. @module */
import type { RecallResult } from "./recall.ts";
import type { Comparison, LabSummary, PolicyFigures } from "./summary.ts";
import { fixed, mebibytes, percent, type TitledTable } from "./tables.ts";

/** The tables, those without rows left out. */
export function tablesOf(summary: LabSummary): TitledTable[] {
  return [
    policiesTable(summary),
    comparisonTable(
      "Without sinks, over with them",
      `Perplexity of one over the other's after token ${summary.start}, ± one standard error. ${DRIFT}`,
      summary.withoutSinks,
    ),
    comparisonTable(
      "Fewer bits or lazy layers, over plain rows in all layers",
      `Perplexity of one over the other's after token ${summary.start}, ± one standard error. ${DRIFT}`,
      summary.againstPlain,
    ),
    comparisonTable(
      "Over a window that is recomputed for each token",
      `At the sampled positions alone, ± one standard error. ${DRIFT}`,
      summary.againstRecompute,
    ),
    recallTable(summary.recall),
  ].filter(({ table }) => table.rows.length > 0);
}

const DRIFT = "Drift: the factor by which the ratio grows over 10,000 tokens.";

function policiesTable({ policies, start, tokens }: LabSummary): TitledTable {
  return {
    title: `Policies over ${tokens} tokens`,
    note:
      `Perplexity over all tokens, after token ${start} (all but full have evicted by then), and at the ` +
      "positions that window-recompute was measured at; KL from full and the share of equal most " +
      "likely tokens after it, as far as full went, and both before the policy evicts (rounding); the " +
      "cache is that of one conversation; " +
      "milliseconds a token in chunks and one a run.",
    table: {
      columns: [
        "",
        "tokens",
        "perplexity",
        "evicted",
        "sampled",
        "KL",
        "same top",
        "KL before",
        "same before",
        "cache MiB",
        "ms chunk",
        "ms step",
      ],
      rows: policies.map(policyRow),
    },
  };
}

function policyRow(policy: PolicyFigures): string[] {
  const { distance } = policy;
  return [
    policy.label,
    String(policy.tokens),
    fixed(policy.perplexity, 2),
    fixed(policy.evicted, 2),
    fixed(policy.sampled, 2),
    fixed(distance?.kl, 4),
    percent(distance?.agreement),
    fixed(distance?.klBefore, 4),
    percent(distance?.agreementBefore),
    mebibytes(policy.cacheBytes),
    fixed(policy.chunkMs, 2),
    fixed(policy.stepMs, 1),
  ];
}

function comparisonTable(
  title: string,
  note: string,
  comparisons: readonly Comparison[],
): TitledTable {
  return {
    title,
    note,
    table: {
      columns: ["", "over", "ratio", "±", "tokens", "drift", "±"],
      rows: comparisons.map((comparison) => [
        comparison.label,
        comparison.other,
        comparison.ratio.toFixed(3),
        comparison.standardError.toFixed(3),
        String(comparison.tokens),
        fixed(comparison.drift?.per10000, 3),
        fixed(comparison.drift?.standardError, 3),
      ]),
    },
  };
}

function recallTable(recall: readonly RecallResult[]): TitledTable {
  const [first] = recall;
  const distances = first?.points.map(({ distance }) => distance) ?? [];
  const edges = recall.filter(({ arithmeticEdge }) => arithmeticEdge !== null)
    .map(({ label, arithmeticEdge, measuredEdge }) =>
      `${label} holds the answer up to distance ${arithmeticEdge} by its arithmetic; measured, it is ` +
      `known at ${measuredEdge!.last} and forgotten at ${measuredEdge!.next}.`
    );
  return {
    title: `Recall of ${first?.facts ?? 0} facts by distance`,
    note: `${edges.join(" ")} Right: share of the facts whose number is ` +
      `likelier than each wrong one (a guess: ${percent(first?.chance)}); ` +
      "margin: its log probability over the likeliest wrong one's, nats.",
    table: {
      columns: [
        "distance",
        ...recall.flatMap(({ label }) => [`${label}: right`, "margin"]),
      ],
      rows: distances.map((distance, i) => [
        String(distance),
        ...recall.flatMap(({ points }) => [
          percent(points[i]!.accuracy),
          points[i]!.margin.toFixed(2),
        ]),
      ]),
    },
  };
}
