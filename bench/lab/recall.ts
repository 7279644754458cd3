/**
 * What a policy still knows: a fact is planted in a text and asked for at growing distances, across
 * the edge of the window. The model is asked by the log probability of the right number against
 * wrong ones, which shows what a small model knows better than what it would say.
 *
 * The distance is that between a token of the answer and the query that it answers. Each of the
 * answer's tokens is asked for at the same distance, so all of them leave the window at once.
 *
 * @module
 */
import type { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Decoder } from "../../lib/decoder/decoder.ts";
import type { BenchModel } from "../bench_model.ts";
import { logSumExp } from "../statistics.ts";
import type { Fact } from "./facts.ts";
import type { LabPolicy } from "./policies.ts";
import { estimate } from "./series.ts";
import { type StepEdge, stepEdge } from "./step_edge.ts";

/** What is recalled at one distance. */
export interface RecallPoint {
  readonly distance: number;
  /** Share of the facts whose right answer is likelier than every wrong one. */
  readonly accuracy: number;
  /** Log probability of the right answer less that of the likeliest wrong one, the mean, nats. */
  readonly margin: number;
}

/** What one policy recalls. */
export interface RecallResult {
  readonly label: string;
  readonly facts: number;
  /** Accuracy of a guess. */
  readonly chance: number;
  readonly points: readonly RecallPoint[];
  /** Largest distance at which the policy's arithmetic holds the answer; `null` if at all of them. */
  readonly arithmeticEdge: number | null;
  /** Where the margins fall; `null` if they need not. */
  readonly measuredEdge: StepEdge | null;
}

/** What is asked, and when. */
export interface RecallOptions {
  readonly facts: readonly Fact[];
  /** A text to plant them in: each fact has another part of it. */
  readonly text: readonly number[];
  /** Tokens of the text before a fact, more than any sinks. */
  readonly lead: number;
  /** In ascending order, each at least {@linkcode leastDistance}. */
  readonly distances: readonly number[];
  onProgress?(facts: number): void;
}

/** Asks for every fact at every distance. */
export async function measureRecall(
  model: BenchModel,
  { label, policy, format, lazyLayers }: LabPolicy,
  options: RecallOptions,
): Promise<RecallResult> {
  const { facts, distances } = options;
  const decoder = await model.decoder(policy, { format, lazyLayers });
  const margins: number[][] = distances.map(() => []);
  for (const [i, fact] of facts.entries()) {
    decoder.open(0, policy);
    const start = Math.floor(
      i * Math.max(0, options.text.length - tokensOf(options)) /
        Math.max(1, facts.length - 1),
    );
    const found = await marginsOf(decoder, fact, {
      ...options,
      text: options.text.slice(start),
    });
    for (const [at, margin] of found.entries()) margins[at]!.push(margin);
    options.onProgress?.(i + 1);
  }
  const points = distances.map((distance, at) => ({
    distance,
    margin: estimate(margins[at]!).mean,
    accuracy: margins[at]!.filter((margin) => margin > 0).length / facts.length,
  }));
  const arithmeticEdge = edgeOf(policy, options);
  return {
    label,
    facts: facts.length,
    chance: 1 / (1 + facts[0]!.distractors.length),
    points,
    arithmeticEdge,
    measuredEdge: arithmeticEdge === null
      ? null
      : stepEdge(distances, points.map(({ margin }) => margin)),
  };
}

/** The nearest that a fact can be asked for: its own end and the question lie between. */
export function leastDistance({ prompt, answer, tail }: Fact): number {
  return answer.length + tail.length + prompt.length - 1;
}

/** Tokens of text that one fact needs at most. */
export function tokensOf(
  { lead, distances }: Pick<RecallOptions, "lead" | "distances">,
): number {
  return lead + distances.at(-1)!;
}

/** The largest of the distances at which the answer's token is among those held. */
export function edgeOf(
  policy: SinkWindow,
  { facts, lead, distances }: Pick<
    RecallOptions,
    "facts" | "lead" | "distances"
  >,
): number | null {
  const position = lead + facts[0]!.prompt.length; // of the answer's first token
  const holds = (distance: number) => {
    const seen = position + distance + 1; // the query's own token included
    return position >= policy.horizon(seen);
  };
  if (holds(distances.at(-1)!)) return null;
  let edge = 0;
  while (holds(edge + 1)) edge++;
  return edge;
}

/** Margins of one fact, one for each distance. */
async function marginsOf(
  decoder: Decoder,
  fact: Fact,
  { text, lead, distances }: RecallOptions,
): Promise<number[]> {
  const { prompt, answer, tail } = fact;
  await append(decoder, text.slice(0, lead));
  await append(decoder, [...prompt, ...answer, ...tail]);
  const margins: number[] = [];
  let at = lead;
  for (const distance of distances) {
    const end = lead + distance - leastDistance(fact);
    if (end < at) {
      throw new RangeError(
        `Cannot ask at distance ${distance}: the nearest is ${
          leastDistance(fact)
        }, and they must ascend`,
      );
    }
    await append(decoder, text.slice(at, end));
    at = end;
    margins.push(await askAside(decoder, fact));
  }
  return margins;
}

/** Asks, and goes back to where the text was. */
async function askAside(decoder: Decoder, fact: Fact): Promise<number> {
  const before = decoder.save(0);
  const [first] = await rowsOf(decoder, fact.prompt, 1);
  const asked = decoder.save(0);
  const scores: number[] = [];
  for (const candidate of [fact.answer, ...fact.distractors]) {
    const rest = candidate.slice(0, -1);
    const rows = rest.length === 0
      ? []
      : await rowsOf(decoder, rest, rest.length);
    scores.push(logProbability([first!, ...rows], candidate));
    await decoder.restore(0, asked);
  }
  await decoder.restore(0, before);
  const [right, ...wrong] = scores;
  return right! - Math.max(...wrong);
}

function logProbability(
  rows: readonly Float32Array[],
  tokens: readonly number[],
): number {
  return tokens.reduce(
    (sum, token, i) => sum + rows[i]![token]! - logSumExp(rows[i]!),
    0,
  );
}

/** Logits of the last `count` of these tokens, all of one run. */
async function rowsOf(
  decoder: Decoder,
  tokens: readonly number[],
  count: number,
): Promise<Float32Array[]> {
  const head = tokens.slice(0, tokens.length - count);
  await append(decoder, head);
  const chunk = { slot: 0, tokens: tokens.slice(-count), logits: count };
  const [logits] = await decoder.run([chunk]);
  const { vocabulary } = decoder;
  return Array.from(
    { length: count },
    (_, i) => logits!.subarray(i * vocabulary, (i + 1) * vocabulary),
  );
}

/** Appends tokens whose logits nobody wants. */
async function append(
  decoder: Decoder,
  tokens: readonly number[],
): Promise<void> {
  for (let at = 0; at < tokens.length;) {
    const chunk = tokens.slice(at, at + decoder.limit(0));
    await decoder.run([{ slot: 0, tokens: chunk, logits: 0 }]);
    at += chunk.length;
  }
}
