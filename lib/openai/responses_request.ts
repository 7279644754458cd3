/**
 * The bodies of `POST /v1/responses` and of `POST /v1/responses/input_tokens`, checked parameter by
 * parameter: each is obeyed, or listed here as harmless, or an error that names it.
 *
 * @module
 */
import { z } from "zod";
import type { PolicyRequest } from "../cache/policy.ts";
import type { TurnRequest } from "../store/turns.ts";
import { everstreamSchema, toPolicy } from "./everstream.ts";
import {
  boolean,
  integer,
  metadataSchema,
  number,
  only,
  string,
  text,
} from "./fields.ts";
import { checkBody, type Refuse, refusing } from "./issues.ts";
import { inputSchema, type KnownItem, toItems } from "./items.ts";
import { parseQuery, whole } from "./query.ts";
import { absent, given, type Refusal, withRefusals } from "./refusals.ts";
import {
  askedTextFormat,
  textFormatSchema,
  wireTextFormat,
} from "./response_format.ts";
import {
  type Calls,
  type CallsAsked,
  NEEDS_TOOLS,
  toCalls,
} from "./tool_choice.ts";
import {
  responseToolChoiceSchema,
  responseToolsSchema,
  toTool,
  wireTool,
} from "./tools.ts";

/** What of a request says which tokens the model is to read. */
export interface PromptRequest {
  /** The model's id, or `default`. */
  readonly model: string;
  readonly input: readonly KnownItem[];
  readonly instructions: string | null;
  readonly continues: TurnRequest["continues"];
  /** What the answer may call, or what it must be. */
  readonly calls: Calls;
}

/** A checked request of a response. */
export interface ResponseRequest extends PromptRequest {
  readonly stream: boolean;
  readonly store: boolean;
  readonly background: boolean;
  readonly maxOutputTokens: number | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly truncation: "auto" | "disabled";
  readonly metadata: Readonly<Record<string, string>>;
  readonly user: string | null;
  readonly policy: PolicyRequest | undefined;
  /** What the response has as the request had it. */
  readonly repeated: Readonly<Record<string, unknown>>;
}

const id = text(1, 256, "an id");

const prompt = {
  model: z.string("a string").optional(),
  input: inputSchema.nullish(),
  instructions: string,
  conversation: z.union(
    [id, z.strictObject({ id })],
    'an id, or an object as {"id": "conv_…"}',
  ).nullish(),
  previous_response_id: id.nullish(),
  truncation: z.enum(["auto", "disabled"], "auto or disabled").nullish(),
  tools: responseToolsSchema.nullish(),
  tool_choice: responseToolChoiceSchema.nullish(),
  parallel_tool_calls: boolean,
  text: z.strictObject({
    format: textFormatSchema.optional(),
    verbosity: only([], "left out: this server steers no length"),
  }, 'an object, as {"format": {"type": "text"}}').nullish(),
};

const obeyed = {
  ...prompt,
  stream: boolean,
  stream_options: z.strictObject(
    // Padding against traffic analysis; a server that sends none harms nobody's parsing.
    { include_obfuscation: boolean },
    'an object, as {"include_obfuscation": false}',
  ).nullish(),
  store: boolean,
  background: boolean,
  max_output_tokens: integer(1, "a positive integer"),
  temperature: number(0, 2),
  top_p: number(0, 1),
  metadata: metadataSchema.nullish(),
  user: string,
  everstream: everstreamSchema,
};

/** Parameters that change nothing about an answer of this server. */
const harmless = {
  safety_identifier: string,
  prompt_cache_key: string,
  prompt_cache_retention: string,
  max_tool_calls: integer(0, "an integer of 0 or more"),
};

/** OpenAI's parameters that this server cannot serve; both requests have them. */
const unsupportedOfPrompt = {
  reasoning: only([{}], "left out: this server steers no reasoning"),
};

const unsupported = {
  ...unsupportedOfPrompt,
  include: only([[]], "left out: this server includes nothing more"),
  top_logprobs: only([0], "left out: see /v1/chat/completions for logprobs"),
  prompt: only([], "left out: this server keeps no prompts"),
  service_tier: only(
    ["auto", "default"],
    'left out, "auto" or "default": this server has one tier',
  ),
  moderation: only([], "left out: this server does not moderate"),
  context_management: only(
    [[]],
    "left out: see everstream for what a conversation keeps",
  ),
  image: only([], "left out: this server makes no images"),
  access_programs: only([], "left out: this server has none"),
  prompt_cache_options: only([], "left out: its caches take no options"),
};

type WirePrompt = z.infer<z.ZodObject<typeof prompt>>;

const ONE_PLACE: Refusal = {
  name: "previous_response_id",
  must: "left out where 'conversation' is given: a turn has one place",
  where: { conversation: given, previous_response_id: given },
};

/** What the body of a request for a response must be. */
export const responseRequestSchema = withRefusals(
  z.strictObject(
    { ...obeyed, ...harmless, ...unsupported },
    "a JSON object",
  ),
  [ONE_PLACE, NEEDS_TOOLS, {
    name: "background",
    must: "left out where 'store' is false: nobody could read the response",
    where: { background: z.literal(true), store: z.literal(false) },
  }, {
    name: "input",
    must: "given, unless a 'conversation' has items that wait for an answer",
    where: {
      input: z.array(z.unknown()).max(0).nullish(),
      conversation: absent,
      instructions: absent,
    },
  }],
).meta({ id: "ResponseRequest" });

/** What the body of a request for the number of input tokens must be. */
export const inputTokensRequestSchema = withRefusals(
  z.strictObject({ ...prompt, ...unsupportedOfPrompt }, "a JSON object"),
  [ONE_PLACE, NEEDS_TOOLS],
).meta({ id: "InputTokensRequest" });

const UNSUPPORTED: ReadonlySet<string> = new Set(Object.keys(unsupported));

/**
 * Checks the body of a request for a response.
 *
 * @throws {ApiError} a 400 that names the parameter at fault
 * @example A body of input alone
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseResponseRequest } from "./responses_request.ts";
 *
 * const { input, store, truncation } = parseResponseRequest({ input: "Hi" });
 * assertEquals(input[0]?.content, [{ type: "input_text", text: "Hi" }]);
 * assertEquals([store, truncation], [true, "auto"]);
 * ```
 */
export function parseResponseRequest(body: unknown): ResponseRequest {
  const wire = checkBody(responseRequestSchema, body, UNSUPPORTED);
  return {
    ...toPrompt(wire, refusing(body)),
    stream: wire.stream ?? false,
    store: wire.store ?? true,
    background: wire.background ?? false,
    maxOutputTokens: wire.max_output_tokens ?? null,
    temperature: wire.temperature ?? null,
    topP: wire.top_p ?? null,
    truncation: wire.truncation ?? "auto",
    metadata: wire.metadata ?? {},
    user: wire.user ?? null,
    policy: toPolicy(wire.everstream),
    repeated: {
      tools: (wire.tools ?? []).map(wireTool),
      tool_choice: wire.tool_choice ?? "auto",
      parallel_tool_calls: wire.parallel_tool_calls ?? true,
      text: { format: wireTextFormat(wire.text?.format) },
    },
  };
}

/**
 * Checks the body of a request for the number of input tokens.
 *
 * @throws {ApiError} a 400 that names the parameter at fault
 */
export function parseInputTokensRequest(body: unknown): PromptRequest {
  const wire = checkBody(inputTokensRequestSchema, body, UNSUPPORTED);
  return toPrompt(wire, refusing(body));
}

/** How a client names a request that it may send again. */
export const idempotencyKeySchema = z.string().min(1).max(255).describe(
  "A name for this request: sent again, it is answered with what it came to before, and no turn is " +
    "made twice.",
);

/** What may be asked of how a response is read. */
export const retrieveSchema = z.strictObject({
  stream: z.enum(["true", "false"], "true or false").optional(),
  starting_after: whole(0, 10 ** 15 - 1, "a whole number of 0 or more")
    .optional(),
  include_obfuscation: z.enum(["true", "false"], "true or false").optional(),
});

/** How a response is read: whole, or as the events after a number. */
export function parseRetrieveQuery(
  query: Record<string, string>,
): { stream: boolean; after: number } {
  const { stream, starting_after } = parseQuery(retrieveSchema, query);
  return { stream: stream === "true", after: starting_after ?? -1 };
}

function toPrompt(wire: WirePrompt, refuse: Refuse): PromptRequest {
  return {
    model: wire.model ?? "default",
    input: toItems(wire.input ?? undefined),
    instructions: wire.instructions ?? null,
    continues: toContinues(wire),
    calls: toCalls(askedCalls(wire), refuse),
  };
}

function askedCalls(wire: WirePrompt): CallsAsked {
  const { tool_choice: choice } = wire;
  return {
    tools: (wire.tools ?? []).map((tool, i) => ({
      ...toTool(tool),
      strict: tool.strict ?? false,
      path: ["tools", i, "parameters"],
    })),
    choice: typeof choice === "object" && choice !== null
      ? { name: choice.name, path: ["tool_choice", "name"] }
      : choice ?? "auto",
    parallel: wire.parallel_tool_calls ?? true,
    format: askedTextFormat(wire.text?.format),
  };
}

function toContinues(
  { conversation, previous_response_id: response }: WirePrompt,
): TurnRequest["continues"] {
  if (response != null) return { response };
  if (conversation == null) return null;
  return {
    conversation: typeof conversation === "string"
      ? conversation
      : conversation.id,
  };
}
