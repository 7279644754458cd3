/** Measures how much of their attention a model's layers give to near tokens, and what is lost if they give it all. @module */
import { SinkWindow } from "../cache/sink_window.ts";
import type { Snapshot } from "../decoder/decoder.ts";
import type { HostModel } from "../decoder/host_decoder.ts";
import {
  LayeredDecoder,
  type LayeredRoom,
} from "../decoder/layered_decoder.ts";

/** Decoders of one conversation on an open model. */
export interface Calibrated {
  readonly model: HostModel;
  readonly room: Pick<LayeredRoom, "sinks" | "window" | "chunk">;
}

/** What was measured of one conversation, by layer. */
export interface LayerMeasure {
  readonly mass: number[];
  readonly losses: (number | null)[];
}

/**
 * Measures one conversation.
 *
 * @param tokens a prompt, and behind it the tokens that losses are measured over
 * @param options.prompt tokens of the prompt
 * @param options.threshold mass from which a layer's loss is measured
 */
export async function measureLayers(
  of: Calibrated,
  tokens: readonly number[],
  { prompt, threshold }: { prompt: number; threshold: number },
): Promise<LayerMeasure> {
  const { layers } = of.model.plan.shape;
  const all = Array.from({ length: layers }, (_, layer) => layer);
  const none = open(of, 0, []);
  const last = prompt - 1;
  await append(none, tokens.slice(0, last), null);
  const before = none.save(0);
  const expected: Float32Array[] = [];
  await score(none, tokens.slice(last), (logits) => {
    expected.push(logLikelihoods(logits));
  });
  const mass = none.attentionMass(0);
  const losses: (number | null)[] = [];
  for (const layer of all) {
    if (mass[layer]! < threshold) {
      losses.push(null);
      continue;
    }
    const others = all.filter((other) => other !== layer);
    losses.push(
      await loss(open(of, 1, others), { before, expected }, tokens.slice(last)),
    );
  }
  return { mass, losses };
}

/** A decoder with so many lazy layers, none of those that are kept. */
function open(
  { model, room }: Calibrated,
  lazyLayers: number,
  keptLayers: readonly number[],
): LayeredDecoder {
  const of = { ...room, lazyLayers, keptLayers, slots: 1 };
  const decoder = new LayeredDecoder(model, of);
  decoder.open(0, new SinkWindow(room.sinks, room.window));
  return decoder;
}

/** Mean KL divergence of what a decoder expects of each token from what is expected without lazy layers. */
async function loss(
  decoder: LayeredDecoder,
  { before, expected }: { before: Snapshot; expected: readonly Float32Array[] },
  tokens: readonly number[],
): Promise<number> {
  await decoder.restore(0, before);
  let [sum, at] = [0, 0];
  await score(decoder, tokens, (logits) => {
    const [p, q] = [expected[at++]!, logLikelihoods(logits)];
    for (let i = 0; i < p.length; i++) sum += Math.exp(p[i]!) * (p[i]! - q[i]!);
  });
  return sum / at;
}

/** Appends the last token of a prompt, where layers become lazy, then what follows; gives the logits of that. */
async function score(
  decoder: LayeredDecoder,
  [first, ...rest]: readonly number[],
  take: (logits: Float32Array) => void,
): Promise<void> {
  await decoder.run([{ slot: 0, tokens: [first!], logits: 1 }]);
  await append(decoder, rest, take);
}

/** Appends tokens in whole chunks, without logits if nobody takes them. */
async function append(
  decoder: LayeredDecoder,
  tokens: readonly number[],
  take: ((logits: Float32Array) => void) | null,
): Promise<void> {
  for (let at = 0; at < tokens.length;) {
    const chunk = tokens.slice(at, at + decoder.limit(0));
    at += chunk.length;
    const count = take ? chunk.length : 0;
    const [logits] = await decoder.run([{
      slot: 0,
      tokens: chunk,
      logits: count,
    }]);
    const { vocabulary } = decoder;
    for (let t = 0; t < count; t++) {
      take!(logits!.subarray(t * vocabulary, (t + 1) * vocabulary));
    }
  }
}

/** Natural logarithms of probabilities. */
function logLikelihoods(logits: Float32Array): Float32Array {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  const total = most + Math.log(sum);
  return logits.map((logit) => logit - total);
}
