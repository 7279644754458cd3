import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseChatRequest } from "../../lib/openai/chat_request.ts";
import { ApiError } from "../../lib/openai/errors.ts";

const messages = [{ role: "user", content: "Hi" }];

function refusal(body: unknown): ApiError {
  const error = assertThrows(() => parseChatRequest(body), ApiError);
  assert(error instanceof ApiError);
  assertEquals(error.status, 400);
  assertEquals(error.body.error.type, "invalid_request_error");
  return error;
}

Deno.test("every obeyed parameter reaches the model", () => {
  const request = parseChatRequest({
    messages: [
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        content: [{ type: "text", text: "a" }, { type: "text", text: "b" }],
      },
      {
        role: "assistant",
        content: "c",
        refusal: null,
        annotations: [],
        tool_calls: [],
      },
      { role: "tool", content: "d", tool_call_id: "1" },
    ],
    model: "m",
    stream: true,
    stream_options: { include_usage: true, include_obfuscation: false },
    stop: ["x", "y"],
    max_tokens: 7,
    max_completion_tokens: 7,
    temperature: 0,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    repetition_penalty: 1.1,
    presence_penalty: -2,
    frequency_penalty: 2,
    logit_bias: { "5": -100, "0": 1.5 },
    seed: -3,
    logprobs: true,
    everstream: {
      policy: "window",
      sinks: null,
      window: 9,
      evict: "turn",
      kv_bits: 8,
    },
    top_logprobs: 2,
    n: 1,
  });
  assertEquals(request, {
    model: "m",
    stream: true,
    includeUsage: true,
    n: 1,
    generation: {
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "ab" },
        { role: "assistant", content: "c" },
        { role: "tool", content: "d", toolCallId: "1" },
      ],
      sampling: {
        temperature: 0,
        topK: 40,
        topP: 0.9,
        minP: 0.05,
        repetitionPenalty: 1.1,
        presencePenalty: -2,
        frequencyPenalty: 2,
        logitBias: new Map([[5, -100], [0, 1.5]]),
        seed: -3,
      },
      maxTokens: 7,
      stop: ["x", "y"],
      topLogprobs: 2,
      policy: {
        policy: "window",
        sinks: undefined,
        window: 9,
        evict: "turn",
        kvBits: 8,
      },
      format: undefined,
    },
  });
});

Deno.test("what is left out or null has its default", () => {
  const nulls = {
    stream: null,
    stream_options: null,
    stop: null,
    max_tokens: null,
    max_completion_tokens: null,
    temperature: null,
    top_p: null,
    logit_bias: null,
    seed: null,
    logprobs: null,
    top_logprobs: null,
    n: null,
    tools: null,
    response_format: null,
  };
  const expected = {
    model: "default",
    stream: false,
    includeUsage: false,
    n: 1,
    generation: {
      messages: [{ role: "user" as const, content: "Hi" }],
      sampling: {
        temperature: undefined,
        topK: undefined,
        topP: undefined,
        minP: undefined,
        repetitionPenalty: undefined,
        presencePenalty: undefined,
        frequencyPenalty: undefined,
        logitBias: undefined,
        seed: undefined,
      },
      maxTokens: undefined,
      stop: [],
      topLogprobs: undefined,
      policy: undefined,
      format: undefined,
    },
  };
  assertEquals(parseChatRequest({ messages }), expected);
  assertEquals(parseChatRequest({ messages, ...nulls }), expected);
});

Deno.test("log-probabilities without alternatives are asked for as none", () => {
  const { generation } = parseChatRequest({ messages, logprobs: true });
  assertEquals(generation.topLogprobs, 0);
});

Deno.test("harmless parameters, and values that ask for nothing, are taken", () => {
  parseChatRequest({
    messages,
    user: "u",
    safety_identifier: "s",
    metadata: { a: "b" },
    store: false,
    parallel_tool_calls: true,
    prompt_cache_key: "k",
    prompt_cache_retention: "24h",
    tools: [],
    tool_choice: "none",
    response_format: { type: "text" },
    modalities: ["text"],
    service_tier: "auto",
    prediction: null,
  });
});

const FUNCTION = { type: "function", function: { name: "f" } };
const MISSING = "missing_required_parameter";
const bad: [body: unknown, param: string | null, code: string][] = [
  [null, null, "invalid_type"],
  [[], null, "invalid_type"],
  ["text", null, "invalid_type"],
  [{}, "messages", "missing_required_parameter"],
  [{ messages: [] }, "messages", "invalid_value"],
  [{ messages: "hi" }, "messages", "invalid_type"],
  [{ messages: [null] }, "messages[0]", "invalid_type"],
  [
    { messages: [{ content: "x" }] },
    "messages[0].role",
    "missing_required_parameter",
  ],
  [
    { messages: [{ role: "user" }] },
    "messages[0].content",
    "missing_required_parameter",
  ],
  [
    { messages: [...messages, { role: "robot", content: "" }] },
    "messages[1].role",
    "invalid_value",
  ],
  [
    { messages: [{ role: "user", content: null }] },
    "messages[0].content",
    "invalid_value",
  ],
  [
    { messages: [{ role: "user", content: 5 }] },
    "messages[0].content",
    "invalid_value",
  ],
  [
    { messages: [{ role: "user", content: [] }] },
    "messages[0].content",
    "invalid_value",
  ],
  [
    { messages: [{ role: "user", content: [{ type: "text", text: 1 }] }] },
    "messages[0].content[0].text",
    "invalid_type",
  ],
  [
    {
      messages: [{
        role: "user",
        content: [{ type: "text", text: "a" }, {
          type: "image_url",
          image_url: { url: "x" },
        }],
      }],
    },
    "messages[0].content[1].type",
    "invalid_value",
  ],
  [
    { messages: [{ role: "user", content: "", colour: 1 }] },
    "messages[0].colour",
    "unknown_parameter",
  ],
  [
    { messages: [{ role: "assistant", content: "", tool_calls: [{}] }] },
    "messages[0].tool_calls[0].id",
    "missing_required_parameter",
  ],
  ...[
    { id: "1", type: "function", function: { name: "f", arguments: "{" } },
    { id: "1", type: "function", function: { name: "f", arguments: "[]" } },
    {
      id: "1",
      type: "function",
      function: {
        name: "f",
        arguments: `{"a":${"[".repeat(5000)}${"]".repeat(5000)}}`,
      },
    },
  ].map((call): [unknown, string, string] => [
    { messages: [{ role: "assistant", tool_calls: [call] }] },
    "messages[0].tool_calls[0].function.arguments",
    "invalid_value",
  ]),
  [
    {
      messages: [{
        role: "user",
        content: "",
        tool_calls: [{
          id: "1",
          type: "function",
          function: { name: "f", arguments: "{}" },
        }],
      }],
    },
    "messages[0].tool_calls",
    "invalid_value",
  ],
  [{ messages: [{ role: "assistant" }] }, "messages[0].content", MISSING],
  ...fields("model", [5, null], "invalid_type"),
  ...fields("stream", ["yes", 1], "invalid_type"),
  ...fields("max_tokens", [0, -1, 1e300], "invalid_value"),
  ...fields("max_tokens", [1.5, "5", true, [], {}], "invalid_type"),
  ...fields("max_completion_tokens", [0, -5], "invalid_value"),
  ...fields("temperature", [-0.1, 2.1], "invalid_value"),
  ...fields("temperature", ["hot", NaN, Infinity], "invalid_type"),
  ...fields("top_p", [-1, 1.01], "invalid_value"),
  ...fields("top_k", [-1], "invalid_value"),
  ...fields("top_k", [0.5], "invalid_type"),
  ...fields("min_p", [2], "invalid_value"),
  ...fields("repetition_penalty", [0, -1, 5e-324, 101], "invalid_value"),
  ...fields("presence_penalty", [-2.1, 2.1], "invalid_value"),
  ...fields("frequency_penalty", [3], "invalid_value"),
  ...fields("seed", [1e20], "invalid_value"),
  ...fields("seed", [1.5, "7"], "invalid_type"),
  ...fields("logprobs", [5], "invalid_type"),
  ...fields("n", [0, 9], "invalid_value"),
  ...fields("n", ["1", 1.5], "invalid_type"),
  ...fields("stop", ["", 5, [], Array(17).fill("x")], "invalid_value"),
  [{ messages, stop: ["a", ""] }, "stop[1]", "invalid_value"],
  [{ messages, stop: ["a", 5] }, "stop[1]", "invalid_type"],
  [
    { messages, logprobs: true, top_logprobs: 21 },
    "top_logprobs",
    "invalid_value",
  ],
  [
    { messages, logprobs: true, top_logprobs: -1 },
    "top_logprobs",
    "invalid_value",
  ],
  [{ messages, top_logprobs: 1 }, "top_logprobs", "invalid_value"],
  [
    { messages, logprobs: false, top_logprobs: 0 },
    "top_logprobs",
    "invalid_value",
  ],
  [{ messages, logit_bias: [] }, "logit_bias", "invalid_type"],
  [{ messages, logit_bias: { hello: 1 } }, "logit_bias.hello", "invalid_value"],
  [{ messages, logit_bias: { "-1": 1 } }, "logit_bias.-1", "invalid_value"],
  [{ messages, logit_bias: { "1": 101 } }, "logit_bias.1", "invalid_value"],
  [{ messages, logit_bias: { "1": "x" } }, "logit_bias.1", "invalid_type"],
  [
    { messages, stream_options: { include_usage: true } },
    "stream_options",
    "invalid_value",
  ],
  [
    { messages, stream: true, stream_options: 5 },
    "stream_options",
    "invalid_type",
  ],
  [
    { messages, stream: true, stream_options: { usage: true } },
    "stream_options.usage",
    "unknown_parameter",
  ],
  [
    { messages, stream: true, stream_options: { include_usage: "y" } },
    "stream_options.include_usage",
    "invalid_type",
  ],
  [
    { messages, max_tokens: 5, max_completion_tokens: 6 },
    "max_tokens",
    "invalid_value",
  ],
  [
    { messages, tools: [{ type: "function" }] },
    "tools[0].function",
    MISSING,
  ],
  [
    { messages, tools: [{ type: "function", function: { name: "a b" } }] },
    "tools[0].function.name",
    "invalid_value",
  ],
  ...[
    { $ref: "https://example.com" },
    {},
    { type: "object", properties: { a: { type: "array", uniqueItems: true } } },
    { type: "array" },
  ].map((parameters, i): [unknown, string, string] => [
    {
      messages,
      tools: [FUNCTION, {
        type: "function",
        function: { name: "g", strict: true, parameters },
      }],
    },
    "tools[1].function.parameters." +
    ["type", "type", "properties.a.uniqueItems", "type"][i],
    i < 2 ? MISSING : "invalid_value",
  ]),
  ...["web_search", "custom"].map((type): [unknown, string, string] => [
    { messages, tools: [{ type, custom: { name: "f" } }] },
    "tools[0].type",
    "invalid_value",
  ]),
  [
    {
      messages,
      tools: [FUNCTION],
      tool_choice: { type: "function", function: { name: "g" } },
    },
    "tool_choice.function.name",
    "invalid_value",
  ],
  [
    { messages, tools: [FUNCTION], tool_choice: { type: "allowed_tools" } },
    "tool_choice.type",
    "invalid_value",
  ],
  [{ messages, tool_choice: "required" }, "tool_choice", "invalid_value"],
  [{ messages, tool_choice: "maybe" }, "tool_choice", "invalid_value"],
  [
    {
      messages,
      tool_choice: "required",
      tools: [{
        type: "function",
        function: {
          name: "f",
          parameters: {
            type: "object",
            properties: { a: { enum: ["x".repeat(300_000)] } },
          },
        },
      }, {
        type: "function",
        function: {
          name: "g",
          strict: true,
          parameters: {
            type: "object",
            properties: { a: { enum: ["x".repeat(300_000)] } },
          },
        },
      }],
    },
    "tools",
    "invalid_value",
  ],
  [{ messages, functions: [] }, "functions", "unsupported_parameter"],
  [
    { messages, reasoning_effort: "high" },
    "reasoning_effort",
    "unsupported_parameter",
  ],
  [
    { messages, modalities: ["text", "audio"] },
    "modalities",
    "unsupported_parameter",
  ],
  [{ messages, best_of: 3 }, "best_of", "unknown_parameter"],
  [{ messages, constructor: 3 }, "constructor", "unknown_parameter"],
  [
    JSON.parse('{"messages":[{"role":"user","content":""}],"__proto__":1}'),
    "__proto__",
    "unknown_parameter",
  ],
];

function fields(name: string, values: unknown[], code: string): typeof bad {
  return values.map((value) => [{ messages, [name]: value }, name, code]);
}

for (const [body, param, code] of bad) {
  const shown = JSON.stringify(body, (_, v) => Number.isNaN(v) ? "NaN" : v);
  Deno.test(`refused with ${code} at ${param}: ${shown.slice(0, 90)}`, () => {
    const { error } = refusal(body).body;
    assertEquals({ param: error.param, code: error.code }, { param, code });
    assert(
      !/undefined|NaN\b.*null|\[object/.test(error.message),
      error.message,
    );
  });
}

Deno.test("a refusal says what was asked, what is the case and what to do", () => {
  assertEquals(
    refusal({ messages, temperature: 3 }).message,
    "'temperature' must be a number from 0 to 2; the request has 3. " +
      "Correct it or leave it out.",
  );
  assertEquals(
    refusal({ messages, tools: [{ type: "web_search" }] }).message,
    "'tools[0].type' must be \"function\": this server runs no tools of its own; " +
      'the request has "web_search". Correct it or leave it out.',
  );
  assertEquals(
    refusal({ messages, best_of: 1 }).message,
    "This server does not know the parameter 'best_of'. Remove it.",
  );
});

Deno.test("a refusal does not echo a long value", () => {
  const { message } = refusal({ messages, temperature: "x".repeat(10_000) });
  assert(message.length < 200, message);
});
