/** The parameters that several of OpenAI's endpoints share, and what they are for the model. @module */
import { z } from "zod";
import type { GenerationRequest } from "../chat/chat_model.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import { everstreamSchema, toPolicy } from "./everstream.ts";
import { boolean, integer, number } from "./fields.ts";
import { given, off, type Refusal } from "./refusals.ts";

/** Most answers to one request. */
export const MAX_CHOICES = 8;
const N = `an integer from 1 to ${MAX_CHOICES}`;

const stopString = z.string("a string").min(1, "a string that is not empty");
const STOP = "a string or a list of 1 to 16 strings";
const stop = z.union([
  stopString,
  z.array(stopString).min(1, STOP).max(16, STOP),
], STOP);

const LOGIT_BIAS = "a map from token ids to numbers from -100 to 100";
const logitBias = z.record(
  z.string().regex(/^(0|[1-9][0-9]{0,8})$/),
  z.number(LOGIT_BIAS).min(-100, LOGIT_BIAS).max(100, LOGIT_BIAS),
  LOGIT_BIAS,
);

/** Parameters of every endpoint that generates, which are obeyed. */
export const generationParameters = {
  model: z.string("a string").optional(),
  stream: boolean,
  stream_options: z.strictObject({
    include_usage: boolean,
    // Padding against traffic analysis; a server that sends none harms nobody's parsing.
    include_obfuscation: boolean,
  }, 'an object, as {"include_usage": true}').nullish(),
  n: integer(1, N, MAX_CHOICES),
  stop: stop.nullish(),
  max_tokens: integer(1, "a positive integer"),
  temperature: number(0, 2),
  top_p: number(0, 1),
  top_k: integer(0, "an integer of 0 (off) or more"),
  min_p: number(0, 1),
  // Beyond these a logit could overflow, and say nothing any more.
  repetition_penalty: number(0.01, 100),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  logit_bias: logitBias.nullish(),
  seed: integer(Number.MIN_SAFE_INTEGER, "an integer within ±(2^53 - 1)"),
  everstream: everstreamSchema,
};

/** A stream's options are for streams. */
export const STREAM_OPTIONS: Refusal = {
  name: "stream_options",
  must: "left out unless 'stream' is true",
  where: { stream_options: given, stream: off },
};

const schema = z.strictObject(generationParameters);

/** The checked parameters. */
export type GenerationParameters = z.infer<typeof schema>;

/** How an answer is wanted, and by which model. */
export interface Delivery {
  /** The model's id, or `default`. */
  model: string;
  stream: boolean;
  /** Whether a stream ends with a chunk of usage. */
  includeUsage: boolean;
  /** Answers to each prompt. */
  n: number;
}

/** The parameters that say how an answer is wanted. */
export function toDelivery(wire: GenerationParameters): Delivery {
  return {
    model: wire.model ?? "default",
    stream: wire.stream ?? false,
    includeUsage: wire.stream_options?.include_usage ?? false,
    n: wire.n ?? 1,
  };
}

/** The parameters that the model obeys, but for how many tokens it may generate. */
export function toOptions(
  wire: GenerationParameters,
): Pick<GenerationRequest, "sampling" | "stop" | "policy"> {
  return {
    sampling: toSampling(wire),
    stop: typeof wire.stop === "string" ? [wire.stop] : wire.stop ?? [],
    policy: toPolicy(wire.everstream),
  };
}

function toSampling(wire: GenerationParameters): SamplingOptions {
  return {
    temperature: wire.temperature ?? undefined,
    topK: wire.top_k ?? undefined,
    topP: wire.top_p ?? undefined,
    minP: wire.min_p ?? undefined,
    repetitionPenalty: wire.repetition_penalty ?? undefined,
    presencePenalty: wire.presence_penalty ?? undefined,
    frequencyPenalty: wire.frequency_penalty ?? undefined,
    logitBias: wire.logit_bias ? toBias(wire.logit_bias) : undefined,
    seed: wire.seed ?? undefined,
  };
}

function toBias(wire: Record<string, number>): ReadonlyMap<number, number> {
  return new Map(
    Object.entries(wire).map(([id, bias]) => [Number(id), bias]),
  );
}
