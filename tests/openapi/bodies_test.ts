/** What the document says may be sent is what the app takes: each of them says no to what the other does. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { openStore } from "../../lib/store/store.ts";
import { post, testApp } from "../routes/harness.ts";
import { type Described, Description, type Json } from "./described.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** What no schema can say, as the app says it. */
const BEYOND_SCHEMAS = [
  /equal to 'max_completion_tokens'/,
  /equal to 'n'/,
  /answers, over all prompts/,
  /a JSON Schema object, nested at most/,
  /a string with a JSON object/,
  /'response_format\.json_schema\.schema/,
  /'text\.format\.schema/,
  /the name of one of 'tools'/,
  /'tools\[\d+\](\.function)?\.parameters/,
];

/** Bodies that are not far from being taken. */
const BODIES: Readonly<Record<string, readonly Json[]>> = {
  createChatCompletion: [
    {
      messages: [{ role: "user", content: "a" }],
      stream: true,
      stream_options: { include_usage: true },
    },
    {
      messages: [{ role: "user", content: [{ type: "text", text: "a" }] }],
      logprobs: true,
      top_logprobs: 1,
    },
    {
      messages: [{
        role: "assistant",
        tool_calls: [{
          id: "a",
          type: "function",
          function: { name: "f", arguments: "{}" },
        }],
      }],
      tools: [{
        type: "function",
        function: { name: "f", parameters: {}, strict: false },
      }],
      logit_bias: { "1": 1 },
      tool_choice: { type: "function", function: { name: "f" } },
      stop: ["a"],
      n: 1,
      response_format: { type: "text" },
      everstream: { policy: "window", window: 8, kv_bits: 8 },
      metadata: { a: "b" },
    },
    {
      messages: [{ role: "user", content: "a" }],
      response_format: {
        type: "json_schema",
        json_schema: { name: "a", schema: {} },
      },
    },
  ],
  createCompletion: [
    { prompt: "a", echo: true },
    { prompt: ["a", "b"], logprobs: 1, n: 2, best_of: 2 },
    { prompt: [1, 2], stop: "a" },
    { prompt: [[1], [2]], suffix: "" },
  ],
  createResponse: [
    {
      input: [
        { type: "function_call", call_id: "a", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "a", output: "a" },
      ],
      tools: [{ type: "function", name: "f", parameters: {}, strict: false }],
      tool_choice: { type: "function", name: "f" },
      text: { format: { type: "json_schema", name: "a", schema: {} } },
    },
    {
      input: "a",
      conversation: { id: "a" },
      store: true,
      background: true,
      metadata: { a: "b" },
    },
    {
      input: [{
        type: "message",
        role: "user",
        content: [{ type: "input_text", text: "a", annotations: [] }],
        status: "completed",
      }],
      previous_response_id: "a",
      text: { format: { type: "text" } },
      tools: [],
    },
  ],
  countInputTokens: [{ input: "a", conversation: "a", truncation: "auto" }],
  createConversation: [{
    items: [{ role: "user", content: "a" }],
    metadata: { a: "b" },
  }],
  updateConversation: [{ metadata: { a: "b" } }],
  addConversationItems: [{
    items: [{ role: "user", content: "a", id: "a", phase: "commentary" }],
  }],
  tokenize: [
    { content: "a", add_special: true, parse_special: false },
    {
      messages: [{ role: "user", content: "a" }],
      tools: [],
      add_generation_prompt: false,
    },
  ],
  applyTemplate: [{
    messages: [{ role: "user", content: "a", refusal: null, annotations: [] }],
    tools: [],
  }],
  detokenize: [{ tokens: [1, 2], model: "default" }],
};

const value = fc.constantFrom<Json[]>(
  null,
  true,
  false,
  0,
  1,
  -1,
  2,
  2.5,
  8,
  9,
  16,
  20,
  21,
  2 ** 53,
  -100.5,
  "",
  "a",
  "auto",
  "none",
  "required",
  "assistant",
  "tool",
  ...[64, 65, 256, 257, 512, 513]
    .flatMap((length) => ["x".repeat(length), "🙂".repeat(length)]),
  [],
  ["a"],
  [1],
  [null],
  Array(17).fill("a"),
  Array(129).fill(1),
  {},
  { a: "b" },
  { a: 1 },
  { id: "a" },
  { type: "text" },
  { type: "json_object" },
  { ["🙂".repeat(64)]: "a" },
  { ["🙂".repeat(65)]: "a" },
  Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`${i}`, "a"])),
);

/** All places in a value, each as the keys that lead there. */
function places(json: Json, path: string[] = []): string[][] {
  const inside = typeof json === "object" && json !== null
    ? Object.keys(json).flatMap((key) => places(json[key], [...path, key]))
    : [];
  return [path, ...inside];
}

/** A copy that has this value at a place, or nothing there. */
function changed(
  json: Json,
  [key, ...rest]: string[],
  to: { value: Json } | null,
): Json {
  if (key === undefined) return to ? to.value : json;
  const copy = Array.isArray(json) ? [...json] : { ...json };
  if (rest.length > 0) copy[key] = changed(copy[key], rest, to);
  else if (to) copy[key] = to.value;
  else if (Array.isArray(copy)) copy.splice(Number(key), 1);
  else delete copy[key];
  return copy;
}

/** A body, changed in one or two places; a place may be one that the schema has and the body has not. */
function near(
  bodies: readonly Json[],
  names: readonly string[],
): fc.Arbitrary<Json> {
  const change = fc.record({
    place: fc.nat(),
    name: fc.constantFrom("unknown", ...names),
    added: fc.boolean(),
    to: fc.option(value.map((value) => ({ value })), { freq: 6 }),
  });
  return fc.record({
    body: fc.constantFrom(...bodies),
    changes: fc.array(change, { maxLength: 2 }),
  }).map(({ body, changes }) =>
    changes.reduce((json, { place, name, added, to }) => {
      const all = places(json);
      const path = added && !Array.isArray(json) && json instanceof Object
        ? [name]
        : all[place % all.length]!;
      return changed(json, path, to);
    }, body)
  );
}

Deno.test("what the document says may be sent is what the app takes", async () => {
  const store = await openStore(null, { snapshotBytes: 0 });
  try {
    const { app } = testApp({ pieces: ["a"] }, { store });
    const description = await Description.of(app);
    const sendable = description.operations.filter(({ operation }) =>
      operation.requestBody
    );
    assertEquals(
      sendable.map(({ operation }) => operation.operationId).sort(),
      Object.keys(BODIES).sort(),
    );
    for (const described of sendable) {
      await agree(app, { description, described });
    }
  } finally {
    await store.close();
  }
});

async function agree(
  app: ReturnType<typeof testApp>["app"],
  { description, described }: {
    description: Description;
    described: Described;
  },
): Promise<void> {
  const { path, operation } = described;
  const validate = description.body(described);
  const { $ref } = operation.requestBody.content["application/json"].schema;
  const name = $ref.split("/").at(-1);
  const { properties } = description.document.components.schemas[name];
  const bodies = BODIES[operation.operationId]!;
  for (const body of bodies) {
    assert(validate(body), JSON.stringify(validate.errors));
  }
  const property = fc.asyncProperty(
    near(bodies, Object.keys(properties)),
    async (body) => {
      const response = await app.request(
        path.replace("{id}", "none"),
        post(JSON.stringify(body)),
      );
      const text = await response.text();
      const taken = response.status !== 400;
      const valid = validate(body);
      if (taken === valid) return;
      if (valid && BEYOND_SCHEMAS.some((beyond) => beyond.test(text))) return;
      throw new Error(
        `valid: ${valid}, but ${response.status}: ${text} ${
          JSON.stringify(validate.errors)
        }`,
      );
    },
  );
  await fc.assert(property, {
    numRuns: 300,
    examples: bodies.map((body) => [body]),
  });
}
