/**
 * A text through all policies side by side, chunk by chunk, so that what each expects can be
 * compared position by position and no logits need be kept. The text is given, not written by the
 * model (teacher forcing), so that a run takes a whole chunk.
 *
 * @module
 */
import type { BenchModel } from "../bench_model.ts";
import { type Reference, referencesOf } from "./distributions.ts";
import type { LabPolicy } from "./policies.ts";
import { PolicyStream, type StreamedPolicy } from "./policy_stream.ts";

/** How the text is streamed. */
export interface StreamOptions {
  readonly policies: readonly LabPolicy[];
  /** One token more than is measured, and then `steps` ones for the runs of one token. */
  readonly text: readonly number[];
  readonly tokens: number;
  /** Runs of one token, to time them. */
  readonly steps: number;
  onProgress?(done: number): void;
}

/** Streams `tokens` tokens of the text through each policy, on a decoder of its own. */
export async function streamPolicies(
  model: BenchModel,
  options: StreamOptions,
): Promise<StreamedPolicy[]> {
  const { policies, text, tokens, steps } = options;
  if (text.length < tokens + 1 + steps) {
    throw new RangeError(
      `Cannot stream ${tokens} tokens and ${steps} steps of a text of ${text.length}`,
    );
  }
  const reference = policies.find(({ kind }) => kind === "full");
  const compared = reference ? reference.policy.capacity : 0;
  const streams: PolicyStream[] = [];
  for (const policy of policies) {
    streams.push(await PolicyStream.open(model, policy, text));
  }
  const full = streams.filter((stream) => stream.policy === reference);
  const others = streams.filter((stream) => stream.policy !== reference);
  for (let at = 0; at < tokens;) {
    const running = at < compared ? [...full, ...others] : others;
    const end = at < compared ? Math.min(compared, tokens) : tokens;
    const limits = running.map(({ limit }) => limit);
    const count = Math.min(end - at, ...limits);
    if (running.length === 0) break; // `full` alone, and it is full
    let references: Reference[] = [];
    for (const stream of running) {
      const logits = await stream.append(count, { references });
      if (stream.policy === reference) {
        references = referencesOf(logits, stream.vocabulary);
      }
    }
    at += count;
    options.onProgress?.(at);
  }
  const results: StreamedPolicy[] = [];
  for (const stream of streams) results.push(await stream.finish(steps));
  return results;
}
