/** Calls that an answer must make, over HTTP, by a model that would rather say something else. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { TOKENIZER } from "../chat/scripted_decoder.ts";
import { TOOLS_TEMPLATE } from "../chat/tools_template.ts";
import { type StoredApp, storedApp } from "./stored_app.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Params = Omit<
  OpenAI.Chat.ChatCompletionCreateParamsNonStreaming,
  "stream"
>;

const city = { type: "string", enum: ["Rome", "Oslo"] };
const parameters = {
  type: "object",
  properties: { city },
  required: ["city"],
  additionalProperties: false,
};
const tools: OpenAI.Chat.ChatCompletionTool[] = [
  { type: "function", function: { name: "clock" } },
  { type: "function", function: { name: "weather", parameters } },
];
const weather = (args: string) =>
  `<tool_call>\n{"name": "weather", "arguments": ${args}}\n</tool_call>`;

/** Serves a model whose template has tools, and which would say this. */
async function app(says: string): Promise<StoredApp> {
  const served = await storedApp({
    template: TOOLS_TEMPLATE,
    limits: { maxTokens: 400 },
  });
  served.decoder.answer = TOKENIZER.encode(says);
  return served;
}

async function ask({ openai }: StoredApp, more: Partial<Params>) {
  const stream = openai.chat.completions.stream({
    model: "default",
    temperature: 0,
    messages: [{ role: "user", content: "Rome?" }],
    tools,
    ...more,
  });
  const { choices: [choice] } = await stream.finalChatCompletion();
  const { choices: [whole] } = await openai.chat.completions.create({
    model: "default",
    temperature: 0,
    messages: [{ role: "user", content: "Rome?" }],
    tools,
    ...more,
  });
  const calls = [choice!, whole!].map(({ message }) =>
    message.tool_calls?.map((call) =>
      call.type === "function" &&
      [call.function.name, JSON.parse(call.function.arguments)]
    ) ?? []
  );
  assertEquals(calls[0], calls[1]);
  assertEquals(choice!.finish_reason, whole!.finish_reason);
  return {
    calls: calls[0]!,
    content: whole!.message.content,
    reason: whole!.finish_reason,
  };
}

Deno.test("required tools: an answer calls though the model would not, whole and streamed", async () => {
  await using served = await app("hello, I shall not call anything at all");
  const { calls, content, reason } = await ask(served, {
    tool_choice: "required",
  });
  assertEquals([content, reason], [null, "tool_calls"]);
  assert(calls.length > 0);
  assertEquals((await ask(served, { tool_choice: "auto" })).reason, "stop");
  assertEquals((await ask(served, { tool_choice: "none" })).calls, []);
});

Deno.test("required tools: a function that is named is the one that is called, by its schema", async () => {
  await using served = await app(weather('{"city": "Paris", "days": 3}'));
  for (const name of ["clock", "weather"]) {
    const { calls, reason } = await ask(served, {
      tool_choice: { type: "function", function: { name } },
    });
    assertEquals(reason, "tool_calls");
    for (const call of calls) {
      const [called, args] = call as [string, Record<string, unknown>];
      assertEquals(called, name);
      assertEquals(Object.keys(args), name === "clock" ? [] : ["city"]);
      assert(name === "clock" || city.enum.includes(args.city as string));
    }
  }
});

Deno.test("required tools: as many calls as the model makes, or one where they are not to be parallel", async () => {
  const rome = weather('{"city": "Rome"}');
  await using served = await app(
    `${rome}\n${rome.replace("Rome", "Oslo")} and more`,
  );
  const choice = { type: "function", function: { name: "weather" } } as const;
  assertEquals((await ask(served, { tool_choice: choice })).calls, [
    ["weather", { city: "Rome" }],
    ["weather", { city: "Oslo" }],
  ]);
  for (const tool_choice of ["required", choice, "auto"] as const) {
    const more = { tool_choice, parallel_tool_calls: false };
    const { calls, reason } = await ask(served, more);
    assertEquals([calls, reason], [
      [["weather", { city: "Rome" }]],
      "tool_calls",
    ]);
  }
});

Deno.test("required tools: what a strict tool may be called with binds where a call may come, too", async () => {
  await using served = await app(`Hm.\n${weather('{"city": "Paris"}')}`);
  const strict: typeof tools = [{
    type: "function",
    function: { name: "weather", parameters, strict: true },
  }];
  const free = await ask(served, {});
  assertEquals(free.calls, [["weather", { city: "Paris" }]]);
  const { calls, content, reason } = await ask(served, { tools: strict });
  assertEquals([content, reason], ["Hm.", "tool_calls"]);
  const [[, args]] = calls as [[string, { city: string }]];
  assert(city.enum.includes(args.city), args.city);
  served.decoder.answer = TOKENIZER.encode("No call.");
  assertEquals(await ask(served, { tools: strict }), {
    calls: [],
    content: "No call.",
    reason: "stop",
  });
});

Deno.test("required tools: with a format an answer is of that format, or calls", async () => {
  await using served = await app("hello");
  const format = {
    response_format: {
      type: "json_schema",
      json_schema: { name: "answer", schema: city },
    },
  } as const;
  const said = async (says: string, more: Partial<Params> = {}) => {
    served.decoder.answer = TOKENIZER.encode(says);
    return await ask(served, { ...format, ...more });
  };
  const [rome, call] = ['"Rome"', weather('{"city": "Rome"}')];
  assertEquals(await said(`${rome} it is`), {
    calls: [],
    content: rome,
    reason: "stop",
  });
  const called = {
    calls: [["weather", { city: "Rome" }]],
    content: null,
    reason: "tool_calls" as const,
  };
  assertEquals(await said(call), called);
  const { reason } = await said(rome, { tool_choice: "required" });
  assertEquals(reason, "tool_calls");
  const { content } = await said(call, { tool_choice: "none" });
  assert(city.enum.includes(JSON.parse(content!)));
});

Deno.test("required tools: an answer that is cut within its call says so", async () => {
  await using served = await app("hello");
  const { calls, reason } = await ask(served, {
    tool_choice: "required",
    max_tokens: 9,
  });
  assertEquals([calls, reason], [[], "length"]);
});

Deno.test("required tools: the client's own loop calls its functions and gives back what they return", async () => {
  await using served = await app(weather('{"city": "Oslo"}'));
  const asked: string[] = [];
  const runner = served.openai.chat.completions.runTools({
    model: "default",
    temperature: 0,
    messages: [{ role: "user", content: "Oslo?" }],
    tools: [{
      type: "function",
      function: {
        name: "weather",
        description: "Tells the weather",
        parameters,
        strict: true,
        function: (args: string) => {
          asked.push(args);
          served.decoder.answer = TOKENIZER.encode("It rains.");
          return "rain";
        },
      },
    }],
  });
  assertEquals(await runner.finalContent(), "It rains.");
  assertEquals(asked, ['{"city":"Oslo"}']);
});

Deno.test("required tools: a template without tools refuses them by name", async () => {
  await using served = await storedApp();
  const error = await assertRejects(
    () => ask(served, { tool_choice: "required" }),
    OpenAI.APIError,
    "chat template has no tools",
  ) as InstanceType<typeof OpenAI.APIError>;
  assertEquals([error.status, error.param], [400, "tools"]);
});
