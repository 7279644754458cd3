/**
 * A text through all policies side by side, chunk by chunk, so that what each expects can be
 * compared position by position and no logits need be kept. The text is given, not written by the
 * model (teacher forcing), so that a run takes a whole chunk.
 *
 * @module
 */
import type { Decoder } from "../../lib/decoder/decoder.ts";
import { type BenchModel, timed } from "../bench_model.ts";
import { median } from "../statistics.ts";
import {
  divergence,
  type Reference,
  referencesOf,
  summarize,
} from "./distributions.ts";
import type { LabPolicy } from "./policies.ts";

/** What one policy made of the text. Index `q` is of the query of token `q`, about token `q + 1`. */
export interface StreamedPolicy extends LabPolicy {
  /** −ln of the probability of the text's next token; of `full` only as far as it holds all. */
  readonly losses: Float64Array;
  /** KL(full ‖ this), nats, as far as `full` went; empty without one. */
  readonly divergences: Float64Array;
  /** 1 where the most likely token is `full`'s, else 0; as long as `divergences`. */
  readonly agreements: Uint8Array;
  readonly cacheBytes: number;
  /** Milliseconds a token, medians over the text: in chunks, and one a run at its end. */
  readonly chunkMs: number;
  readonly stepMs: number;
}

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
    const length = policy === reference ? Math.min(compared, tokens) : tokens;
    streams.push(await PolicyStream.open(model, policy, { text, length }));
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
      const logits = await stream.append(count, references);
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

/** One policy's way through the text. */
class PolicyStream {
  readonly policy: LabPolicy;
  readonly #decoder: Decoder;
  readonly #text: readonly number[];
  readonly #losses: Float64Array;
  readonly #divergences: number[] = [];
  readonly #agreements: number[] = [];
  readonly #times: number[] = [];

  private constructor(
    policy: LabPolicy,
    decoder: Decoder,
    { text, length }: { text: readonly number[]; length: number },
  ) {
    this.policy = policy;
    this.#decoder = decoder;
    this.#text = text;
    this.#losses = new Float64Array(length);
    decoder.open(0, policy.policy);
  }

  static async open(
    model: BenchModel,
    policy: LabPolicy,
    of: { text: readonly number[]; length: number },
  ): Promise<PolicyStream> {
    return new PolicyStream(policy, await model.decoder(policy.policy), of);
  }

  get vocabulary(): number {
    return this.#decoder.vocabulary;
  }

  get limit(): number {
    return this.#decoder.limit(0);
  }

  /** Appends the text's next tokens and scores them, against references if there are some. */
  async append(
    count: number,
    references: readonly Reference[],
  ): Promise<Float32Array> {
    const seen = this.#decoder.seen(0);
    const tokens = this.#text.slice(seen, seen + count);
    let logits = new Float32Array(0);
    const milliseconds = await timed(async () => {
      const chunk = { slot: 0, tokens, logits: count };
      logits = (await this.#decoder.run([chunk]))[0] as typeof logits;
    });
    this.#times.push(milliseconds / count);
    const { vocabulary } = this;
    for (const [i, summary] of summarize(logits, vocabulary).entries()) {
      const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const next = this.#text[seen + i + 1]!;
      this.#losses[seen + i] = summary.logSumExp - row[next]!;
      const reference = references[i];
      if (!reference) continue;
      this.#divergences.push(divergence(reference, row, summary));
      this.#agreements.push(reference.top === summary.top ? 1 : 0);
    }
    return logits;
  }

  /** Times single tokens after the text and gives what was measured. */
  async finish(steps: number): Promise<StreamedPolicy> {
    const seen = this.#decoder.seen(0);
    const times: number[] = [];
    for (const token of this.#text.slice(seen, seen + steps)) {
      const chunk = { slot: 0, tokens: [token], logits: 1 };
      times.push(await timed(() => this.#decoder.run([chunk])));
    }
    return {
      ...this.policy,
      losses: this.#losses,
      divergences: Float64Array.from(this.#divergences),
      agreements: Uint8Array.from(this.#agreements),
      cacheBytes: this.#decoder.cacheBytes,
      chunkMs: median(this.#times),
      stepMs: times.length === 0 ? NaN : median(times),
    };
  }
}
