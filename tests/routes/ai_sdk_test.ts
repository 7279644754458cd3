/** The AI SDK, by its provider for servers like this one, over HTTP. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  generateText,
  isStepCount,
  jsonSchema,
  Output,
  streamText,
  tool,
} from "ai";
import { eventually, served, type TestApp, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The model as the SDK has it. */
function modelAt(base: string, id = "default") {
  const provider = createOpenAICompatible({
    name: "everstream",
    baseURL: `${base}/v1`,
    apiKey: "none",
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  return provider(id);
}

/** What every call asks with. */
const ASK = { prompt: "Hi", maxRetries: 0 };

async function withModel(
  app: TestApp,
  use: (model: ReturnType<typeof modelAt>, base: string) => Promise<void>,
): Promise<void> {
  await served(app, (base) => use(modelAt(base), base));
}

Deno.test("ai sdk: a whole answer, with its usage and options that are obeyed", async () => {
  const app = testApp();
  await withModel(app, async (model) => {
    const { text, usage, finishReason } = await generateText({
      model,
      instructions: "Be brief.",
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello!" },
        { role: "user", content: [{ type: "text", text: "Again" }] },
      ],
      stopSequences: ["END", "\n\n"],
      temperature: 0.5,
      topP: 0.9,
      maxOutputTokens: 20,
      seed: 7,
      maxRetries: 0,
    });
    assertEquals([text, finishReason], ["Hello, world", "stop"]);
    assertEquals([usage.inputTokens, usage.outputTokens], [12, 3]);
    assertEquals(usage.inputTokenDetails.cacheReadTokens, 1);
  });
  const [{ messages, stop, sampling, maxTokens }] = app.model.requests as [
    typeof app.model.requests[0],
  ];
  assertEquals(messages.map(({ role, content }) => `${role}: ${content}`), [
    "system: Be brief.",
    "user: Hi",
    "assistant: Hello!",
    "user: Again",
  ]);
  assertEquals([stop, maxTokens], [["END", "\n\n"], 20]);
  const { temperature, topP, seed } = sampling;
  assertEquals([temperature, topP, seed], [0.5, 0.9, 7]);
});

Deno.test("ai sdk: a stream comes in parts, with its usage", async () => {
  await withModel(testApp(), async (model) => {
    const stream = streamText({ model, ...ASK });
    const parts = await Array.fromAsync(stream.textStream);
    assertEquals(parts, ["Hello", ", ", "world"]);
    assertEquals(await stream.finishReason, "stop");
    assertEquals((await stream.usage).totalTokens, 6);
  });
});

Deno.test("ai sdk: aborting a stream or a whole answer frees the model at once", async () => {
  const app = testApp({ delay: 60_000 });
  await withModel(app, async (model) => {
    const streaming = new AbortController();
    const stream = streamText({
      model,
      ...ASK,
      abortSignal: streaming.signal,
    });
    for await (const _ of stream.textStream) break;
    streaming.abort();
    await eventually(() => app.model.returned === 1);

    const whole = new AbortController();
    const answer = generateText({ model, ...ASK, abortSignal: whole.signal });
    const failed = assertRejects(() => answer);
    await eventually(() => app.model.emitted === 2);
    whole.abort();
    assertEquals((await failed).name, "AbortError");
    await eventually(() => app.model.returned === 2);
  });
  assertEquals(app.reported, []);
});

Deno.test("ai sdk: errors carry our message and status, and say whether to try again", async () => {
  const app = testApp();
  const errorOf = async (answer: () => PromiseLike<unknown>) => {
    const error = await assertRejects(answer);
    assert(APICallError.isInstance(error));
    return [error.statusCode, error.isRetryable, error.message];
  };
  await withModel(app, async (model, base) => {
    assertEquals(
      await errorOf(() =>
        generateText({ ...ASK, model: modelAt(base, "gpt-5") })
      ),
      [
        404,
        false,
        "The model 'gpt-5' does not exist here; this server has 'scripted/model-1'. " +
        "Ask for 'scripted/model-1' or 'default'.",
      ],
    );
    const [status, retryable, message] = await errorOf(() =>
      generateText({ ...ASK, model, temperature: 9 })
    );
    assertEquals([status, retryable], [400, false]);
    assert(`${message}`.includes("'temperature'"));
  });
});

Deno.test("ai sdk: an error within a stream ends it, without internals", async () => {
  const app = testApp({ failAt: 1, error: new Error("secret") });
  await withModel(app, async (model) => {
    const errors: unknown[] = [];
    const stream = streamText({
      model,
      ...ASK,
      onError: ({ error }) => void errors.push(error),
    });
    assertEquals(await Array.fromAsync(stream.textStream), ["Hello"]);
    assertEquals(errors.length, 1);
    assert(
      !JSON.stringify(errors[0], Object.getOwnPropertyNames(errors[0]))
        .includes("secret"),
    );
  });
});

const SCHEMA = jsonSchema<{ city: string }>({
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
});

Deno.test("ai sdk: structured output is asked for by its schema", async () => {
  const app = testApp({ pieces: ['{"city":', '"Rome"}'] });
  await withModel(app, async (model) => {
    const { output } = await generateText({
      model,
      ...ASK,
      output: Output.object({ schema: SCHEMA }),
    });
    assertEquals(output, { city: "Rome" });
  });
  assert(app.model.requests[0]!.format?.grammar.includes("city"));
});

Deno.test("ai sdk: a tool is called, and the answer goes on with its result", async () => {
  const pieces = [
    '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>',
  ];
  const app = testApp({ pieces });
  await withModel(app, async (model) => {
    const asked: string[] = [];
    const { text, steps } = await generateText({
      model,
      ...ASK,
      stopWhen: isStepCount(2),
      tools: {
        weather: tool({
          description: "The weather in a city",
          inputSchema: SCHEMA,
          execute({ city }) {
            asked.push(city);
            app.model.script = { pieces: ["It is sunny."] };
            return { sky: "clear" };
          },
        }),
      },
    });
    assertEquals([asked, text, steps.length], [["Rome"], "It is sunny.", 2]);
  });
  const { messages, tools } = app.model.requests[1]!;
  assertEquals(messages.map(({ role }) => role), ["user", "assistant", "tool"]);
  assertEquals(messages[2]!.content, '{"sky":"clear"}');
  assertEquals(tools!.map(({ name }) => name), ["weather"]);
});
