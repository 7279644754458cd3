/** How tokens are chosen of logits that stay on the device, as far as they can. @module */
import type { Sample, Sampler } from "../../sampling/mod.ts";
import type { LogitSummary, SummaryRequest } from "../../sampling/summary.ts";
import type { GpuModel } from "./gpu_model.ts";

/** Asked where all logits will be read. */
const ANYTHING: SummaryRequest = {
  temperature: 1,
  fraction: 0,
  changes: [],
};

/** What a sampler chooses from. */
export type Choice = { summary: LogitSummary } | { logits: Float32Array };

/** A summary for each sampler for which that is enough, and all logits for the others. */
export async function findChoices(
  model: GpuModel,
  part: readonly { chunk: { sampler: Sampler }; row: number }[],
): Promise<Choice[]> {
  const asked = part.map(({ chunk, row }) => ({
    row,
    request: chunk.sampler.request(),
  }));
  // Logits that are read whole are summarised, too: that tells whether they are numbers.
  const summaries = await model.summarise(
    asked.map(({ row, request }) => ({ row, request: request ?? ANYTHING })),
  );
  const found: Choice[] = [];
  for (const [i, { row, request }] of asked.entries()) {
    const summary = summaries[i]!;
    found.push(
      request && part[i]!.chunk.sampler.enough(summary)
        ? { summary }
        : { logits: await model.readLogits(row, 1) },
    );
  }
  return found;
}

/** The token that a sampler chooses; rejected if it throws. */
export function choose(sampler: Sampler, choice: Choice): Promise<Sample> {
  return Promise.try(() =>
    "logits" in choice
      ? sampler.sample(choice.logits)
      : sampler.fromSummary(choice.summary)!
  );
}
