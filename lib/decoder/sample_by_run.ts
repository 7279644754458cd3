/**
 * How a decoder whose logits come to this process anyway samples: it runs, and its chunks' samplers
 * choose.
 *
 * @module
 */
import type { Sample } from "../sampling/mod.ts";
import type { Decoder, SampledChunk } from "./decoder.ts";

/** {@linkcode Decoder.sample} by {@linkcode Decoder.run}. */
export async function sampleByRun(
  decoder: Pick<Decoder, "run">,
  chunks: readonly SampledChunk[],
): Promise<PromiseSettledResult<Sample>[]> {
  const logits = await decoder.run(
    chunks.map(({ sampler: _, ...chunk }) => ({ ...chunk, logits: 1 })),
  );
  return await Promise.allSettled(
    chunks.map(({ sampler }, i) =>
      Promise.try(() => sampler.sample(logits[i]!))
    ),
  );
}
