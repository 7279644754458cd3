import { assert, assertEquals } from "@std/assert";
import { client, hello, served, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const messages = [{ role: "user" as const, content: "Rome?" }];
const tools = [{
  type: "function" as const,
  function: { name: "weather", parameters: { type: "object" } },
}];
const pieces = [
  "Let me see.\n<tool_",
  'call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
  '\n<tool_call>{"name": "weather"}</tool_call>',
];

Deno.test("tools: a whole answer has its calls, and goes back with their results", async () => {
  const app = testApp({ pieces });
  await served(app, async (base) => {
    const { completions } = client(base).chat;
    const { choices: [choice] } = await completions.create({
      model: "default",
      messages,
      tools,
      tool_choice: "auto",
    });
    const { message, finish_reason } = choice!;
    assertEquals([message.content, finish_reason], [
      "Let me see.",
      "tool_calls",
    ]);
    assertEquals(
      message.tool_calls!.map((call) =>
        call.type === "function" && call.function
      ),
      [
        { name: "weather", arguments: '{"city":"Rome"}' },
        { name: "weather", arguments: "{}" },
      ],
    );
    const [first, second] = message.tool_calls!;
    assert(first!.id !== second!.id);
    await completions.create({
      model: "default",
      messages: [...messages, message, {
        role: "tool",
        tool_call_id: first!.id,
        content: "sunny",
      }],
      tools,
    });
    assertEquals(app.model.requests[1]!.messages.slice(1), [
      {
        role: "assistant",
        content: "Let me see.",
        toolCalls: [
          { id: first!.id, name: "weather", arguments: { city: "Rome" } },
          { id: second!.id, name: "weather", arguments: {} },
        ],
      },
      { role: "tool", content: "sunny", toolCallId: first!.id },
    ]);
    assertEquals(app.model.requests[1]!.tools!.map(({ name }) => name), [
      "weather",
    ]);
  });
});

Deno.test("tools: a stream's deltas add up to the same calls", async () => {
  await served(testApp({ pieces }), async (base) => {
    const stream = client(base).chat.completions.stream({
      model: "default",
      messages,
      tools,
    });
    const { choices: [choice] } = await stream.finalChatCompletion();
    assertEquals(choice!.message.content, "Let me see.");
    assertEquals(choice!.finish_reason, "tool_calls");
    assertEquals(
      choice!.message.tool_calls!.map((call) =>
        call.type === "function" && call.function.arguments
      ),
      ['{"city":"Rome"}', "{}"],
    );
  });
});

Deno.test("tools: with none to be called they are not shown, and nothing is read as a call", async () => {
  const { chat, model } = testApp({ pieces });
  const none = await chat(hello({ tools, tool_choice: "none" }));
  const { choices: [choice] } = await none.json();
  assertEquals(choice.message.content, pieces.join(""));
  assertEquals(choice.finish_reason, "stop");
  assertEquals(model.requests[0]!.tools, undefined);
});

Deno.test("tools: an answer of a call alone has no content", async () => {
  const { chat } = testApp({ pieces: [pieces[2]!] });
  const { choices: [choice] } = await (await chat(hello({ tools }))).json();
  assertEquals(choice.message.content, null);
  assertEquals(choice.message.tool_calls.length, 1);
});

Deno.test("tools: calls one at a time end at the first", async () => {
  const { chat, model } = testApp({ pieces });
  const body = hello({ tools, parallel_tool_calls: false, stop: "x" });
  await (await chat(body)).body?.cancel();
  assertEquals(model.requests[0]!.stop, ["x", "</tool_call>"]);
  await (await chat(hello({ parallel_tool_calls: false }))).body?.cancel();
  assertEquals(model.requests[1]!.stop, []);
});
