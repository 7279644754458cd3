/** Answers of a format that the request asks for. @module */
import {
  type Constraint,
  GrammarError,
  type Grammars,
} from "../grammar/mod.ts";
import {
  ConstrainedSampler,
  type Sample,
  type Sampler,
} from "../sampling/mod.ts";
import { type AnswerFormat, RequestError } from "./chat_model.ts";

/** How one answer's tokens are chosen, and how long what that takes is held. */
export interface Choice {
  /** What a run is given. */
  readonly sampler: Sampler;
  /** The token, of what the run gave. */
  choose(sample: Sample): Promise<Sample> | Sample;
  release(): void;
}

/** Any token, as the sampler chooses. */
function anyToken(sampler: Sampler): Choice {
  return { sampler, choose: (sample) => sample, release: () => {} };
}

/**
 * Throws unless the format can be kept. It is not held after that: a request that waits for its slot
 * holds nothing.
 *
 * @throws {RequestError} if the format's grammar cannot be compiled, or nothing fits it
 */
export async function checkFormat(
  grammars: Grammars,
  format: AnswerFormat | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (!format) return;
  (await open(grammars, format, signal)).release();
}

/**
 * Lets a sampler choose among the tokens that the format lets come next.
 *
 * @throws {RequestError} as {@linkcode checkFormat}
 */
export async function chooseWithin(
  grammars: Grammars,
  { format, sampler }: { format: AnswerFormat | undefined; sampler: Sampler },
  signal: AbortSignal,
): Promise<Choice> {
  if (!format) return anyToken(sampler);
  const constraint = await open(grammars, format, signal);
  const constrained = new ConstrainedSampler(sampler, constraint);
  return {
    sampler: constrained,
    choose: () => constrained.choose().catch(rethrow(format)),
    release: () => constraint.release(),
  };
}

function open(
  grammars: Grammars,
  format: AnswerFormat,
  signal: AbortSignal,
): Promise<Constraint> {
  return grammars.open(format.grammar, signal).catch(rethrow(format));
}

function rethrow({ param }: AnswerFormat): (error: unknown) => never {
  return (error) => {
    throw error instanceof GrammarError
      ? new RequestError(error.message, param)
      : error;
  };
}
