/** The default model, loaded once for each engine and configuration that tests ask for. @module */
import { readConfig } from "../../lib/config.ts";
import { type LoadedModel, loadModel } from "../../lib/load_model.ts";
import { realModelPath } from "../real_model.ts";

const loaded = new Map<string, Promise<LoadedModel>>();

/** The model with these variables set over the environment. */
export async function loadedModel(
  variables: Record<string, string>,
): Promise<LoadedModel> {
  await realModelPath();
  const key = JSON.stringify(variables);
  let model = loaded.get(key);
  if (!model) {
    model = loadModel(readConfig({
      get: (name) => variables[name] ?? Deno.env.get(name),
    }));
    loaded.set(key, model);
  }
  return await model;
}

/** The id of the largest logit; of equals the lowest. */
export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) {
    if (logits[i]! > logits[best]!) best = i;
  }
  return best;
}

/** Natural-log probabilities, in f64. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const log = max + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - log);
}

/** KL(p ‖ q) in nats, of two sets of logits. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const a = logSoftmax(p);
  const b = logSoftmax(q);
  return a.reduce(
    (sum, value, i) => sum + Math.exp(value) * (value - b[i]!),
    0,
  );
}
