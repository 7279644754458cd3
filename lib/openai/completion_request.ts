/**
 * The body of `POST /v1/completions`, OpenAI's legacy endpoint, checked parameter by parameter.
 *
 * A prompt is text as it is, without a template. Text that looks like a control token stays text;
 * whoever wants control tokens sends token ids.
 *
 * @module
 */
import { z } from "zod";
import type { RawPrompt } from "../chat/chat_model.ts";
import type { Generation } from "./chat_request.ts";
import { boolean, integer, only, string } from "./fields.ts";
import { checkBody } from "./issues.ts";
import {
  type Delivery,
  generationParameters,
  MAX_CHOICES,
  STREAM_OPTIONS,
  toDelivery,
  toOptions,
} from "./parameters.ts";
import { given, withRefusals } from "./refusals.ts";
import { tokensSchema } from "./token_requests.ts";

/** A checked request. */
export interface CompletionRequest extends Delivery {
  /** Whether each answer begins with its prompt. */
  echo: boolean;
  /** One for each prompt. */
  generations: Generation[];
}

/** As OpenAI's. */
const DEFAULT_MAX_TOKENS = 16;

const PROMPT =
  `a string, a list of 1 to ${MAX_CHOICES} strings, a list of token ids, or a list of such lists`;

const text = z.string("a string").min(1, "a string that is not empty");
const tokens = tokensSchema.min(1, "a list of token ids that is not empty");

/** Checked with the body: of a list that is too long, no single prompt is at fault. */
const PROMPTS = { maxItems: MAX_CHOICES };

const obeyed = {
  ...generationParameters,
  prompt: z.union([
    text,
    z.array(text).min(1, PROMPT).meta(PROMPTS),
    tokens,
    z.array(tokens).min(1, PROMPT).meta(PROMPTS),
  ], PROMPT),
  echo: boolean,
  logprobs: integer(0, "an integer from 0 to 5", 5),
  best_of: integer(1, "equal to 'n'"),
};

/** Parameters that change nothing about an answer of this server. */
const harmless = { user: string };

const unsupported = {
  suffix: only([""], "left out: this server fills no gaps"),
};

const UNSUPPORTED: ReadonlySet<string> = new Set(Object.keys(unsupported));

const schema = z.strictObject(
  { ...obeyed, ...harmless, ...unsupported },
  "a JSON object",
).superRefine((body, context) => {
  const refuse = (name: keyof typeof body, message: string) =>
    context.addIssue({ code: "custom", path: [name], message });
  const { n, best_of: best } = body;
  if (best != null && best !== (n ?? 1)) {
    refuse("best_of", "left out or equal to 'n': this server ranks no answers");
  }
  const prompts = toPrompts(body.prompt).length;
  if (prompts > MAX_CHOICES) refuse("prompt", PROMPT);
  else if (prompts * (n ?? 1) > MAX_CHOICES) {
    refuse("n", `at most ${MAX_CHOICES} answers, over all prompts`);
  }
});

/** What the body must be. */
export const completionRequestSchema: typeof schema = withRefusals(schema, [
  STREAM_OPTIONS,
  {
    name: "echo",
    must: "left out with 'logprobs': prompts get none here",
    where: { echo: z.literal(true), logprobs: given },
  },
]).meta({ id: "CompletionRequest" });

/**
 * Checks a request's body.
 *
 * @throws {ApiError} a 400 that names the parameter at fault
 * @example A prompt alone
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseCompletionRequest } from "./completion_request.ts";
 *
 * const { generations } = parseCompletionRequest({ prompt: "Once upon a time" });
 * assertEquals(generations[0]!.prompt, { text: "Once upon a time" });
 * assertEquals(generations[0]!.maxTokens, 16);
 * ```
 */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  const wire = checkBody(completionRequestSchema, body, UNSUPPORTED);
  return {
    ...toDelivery(wire),
    echo: wire.echo ?? false,
    generations: toPrompts(wire.prompt).map((prompt) => ({
      messages: [],
      prompt,
      ...toOptions(wire),
      maxTokens: wire.max_tokens ?? DEFAULT_MAX_TOKENS,
      topLogprobs: wire.logprobs ?? undefined,
    })),
  };
}

function toPrompts(
  prompt: string | string[] | number[] | number[][],
): RawPrompt[] {
  if (typeof prompt === "string") return [{ text: prompt }];
  if (typeof prompt[0] === "number") return [{ tokens: prompt as number[] }];
  return (prompt as (string | number[])[]).map((one) =>
    typeof one === "string" ? { text: one } : { tokens: one }
  );
}
