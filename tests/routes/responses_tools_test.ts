/** `/v1/responses` with tools and formats, by OpenAI's client, over HTTP. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { CONTROLS } from "../text/small_vocabulary.ts";
import { TOKENIZER } from "../chat/scripted_decoder.ts";
import { TOOLS_TEMPLATE } from "../chat/tools_template.ts";
import { type StoredApp, storedApp } from "./stored_app.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Ours = OpenAI.Responses.Response & {
  everstream: { resumed: string | null; branched: boolean };
};
type Params = OpenAI.Responses.ResponseCreateParamsNonStreaming;

const weather: OpenAI.Responses.FunctionTool = {
  type: "function",
  name: "weather",
  description: "Tells the weather",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  },
  strict: false,
};
const tools = [weather];
const call = (city: string) =>
  `<tool_call>\n{"name": "weather", "arguments": {"city": "${city}"}}\n</tool_call>`;

/** Serves a model whose template has tools, and which says this. */
async function app(says: string): Promise<StoredApp> {
  const served = await storedApp({
    template: TOOLS_TEMPLATE,
    limits: { maxTokens: 400 },
  });
  say(served, says);
  return served;
}

function say({ decoder }: StoredApp, text: string): void {
  decoder.answer = TOKENIZER.encode(text);
}

async function ask(
  { openai }: StoredApp,
  more: Partial<Params>,
): Promise<Ours> {
  return await openai.responses.create({
    model: "default",
    temperature: 0,
    ...more,
  }) as Ours;
}

/** What a slot was given, with control tokens as text. */
function given({ decoder }: StoredApp, slot = 0): string {
  return decoder.text(slot).replaceAll(
    /\uDC00(\d+);/gu,
    (_, id) => CONTROLS[id]!,
  );
}

function callsOf({ output }: Ours) {
  return output.flatMap((item) => item.type === "function_call" ? [item] : []);
}

/** What comes of a call. */
function outputOf(
  { call_id }: { call_id: string },
  output = "sunny",
): OpenAI.Responses.ResponseInputItem[] {
  return [{ type: "function_call_output", call_id, output }];
}

const SUNNY = "<|im_end|>\n<|im_start|>user\n<tool_response>\nsunny\n" +
  "</tool_response><|im_end|>\n<|im_start|>assistant\n";

Deno.test("responses' tools: a call is an item, and the next turn brings only what came of it", async () => {
  await using served = await app(`Hm.\n${call("Rome")}`);
  const first = await ask(served, { input: "Rome?", tools });
  const [message, item] = first.output;
  assert(message?.type === "message" && item?.type === "function_call");
  const { id, call_id, ...rest } = item;
  assert(id!.startsWith("fc_") && call_id.startsWith("call_"));
  assertEquals(rest, {
    type: "function_call",
    status: "completed",
    name: "weather",
    arguments: '{"city":"Rome"}',
  });
  assertEquals([first.status, first.output_text], ["completed", "Hm."]);
  assertEquals([first.tools, first.tool_choice, first.parallel_tool_calls], [
    tools,
    "auto",
    true,
  ]);
  assertEquals(await served.openai.responses.retrieve(first.id), first);
  say(served, "It is sunny.");
  const before = given(served);
  served.decoder.takeCost();
  const second = await ask(served, {
    previous_response_id: first.id,
    input: outputOf(item),
    tools,
  });
  assertEquals([second.output_text, second.everstream.resumed], [
    "It is sunny.",
    "slot",
  ]);
  // The tools are not told of again.
  assertEquals(given(served), `${before}${SUNNY}It is sunny.`);
  const { input_tokens, input_tokens_details, output_tokens } = second.usage!;
  assertEquals(
    served.decoder.takeCost(),
    input_tokens - input_tokens_details.cached_tokens + output_tokens - 1,
  );
  const inputs = await Array.fromAsync(
    served.openai.responses.inputItems.list(second.id),
  );
  const [output] = inputs;
  assert(output!.id!.startsWith("fco_"));
  assertEquals({ ...output, id: "" }, {
    id: "",
    type: "function_call_output",
    status: "completed",
    call_id,
    output: "sunny",
  });
});

Deno.test("responses' tools: other tools are told of where they are given", async () => {
  await using served = await app("hello");
  const first = await ask(served, { input: "Hi", tools });
  const clock = { ...weather, name: "clock" };
  const more = { previous_response_id: first.id, input: "Now?" };
  const second = await ask(served, { ...more, tools: [clock] });
  const text = given(served);
  assertEquals(text.split("Functions:").length, 3);
  assert(text.indexOf("hello<|im_end|>") < text.indexOf('"name": "clock"'));
  assert(text.indexOf('"name": "clock"') < text.indexOf("Now?"));
  const silent = { ...more, previous_response_id: second.id };
  const third = await ask(served, { ...silent, tools, tool_choice: "none" });
  await ask(served, {
    ...silent,
    previous_response_id: third.id,
    tools: [clock],
  });
  assertEquals(given(served).split("Functions:").length, 3);
});

Deno.test("responses' tools: a stream has OpenAI's events, from any of them on", async () => {
  await using served = await app(`Hm.\n${call("Rome")}\n${call("Oslo")} Wait.`);
  const stream = served.openai.responses.stream({
    model: "default",
    temperature: 0,
    input: "Rome?",
    tools,
  });
  const events = await Array.fromAsync(stream);
  assertEquals(events.map(({ sequence_number }) => sequence_number), [
    ...events.keys(),
  ]);
  const types = events.map(({ type }) => type.replace("response.", ""))
    .filter((type, i, all) => type !== all[i - 1]);
  const message = (...deltas: string[]) => [
    "output_item.added",
    "content_part.added",
    ...deltas,
    "output_text.done",
    "content_part.done",
    "output_item.done",
  ];
  const called = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
  ];
  assertEquals(types, [
    "created",
    "in_progress",
    ...message("output_text.delta"),
    ...called,
    ...called,
    ...message("output_text.delta"),
    "completed",
  ]);
  const final = await stream.finalResponse();
  assertEquals(final.output.map(({ type }) => type), [
    "message",
    "function_call",
    "function_call",
    "message",
  ]);
  const items = events.flatMap((event) =>
    event.type === "response.output_item.done" ? [event] : []
  );
  assertEquals(items.map(({ output_index }) => output_index), [0, 1, 2, 3]);
  const kept = await served.openai.responses.retrieve(final.id);
  assertEquals(items.map(({ item }) => item), kept.output);
  for (const event of events) {
    if (event.type !== "response.function_call_arguments.done") continue;
    const item = kept.output[event.output_index]!;
    assert(item.type === "function_call");
    assertEquals([event.item_id, event.arguments], [item.id, item.arguments]);
  }
  for (const cut of events.keys()) {
    const rest = await Array.fromAsync(
      await served.openai.responses.retrieve(final.id, {
        stream: true,
        starting_after: cut,
      }),
    );
    assertEquals(
      rest.map(({ type, sequence_number }) => [type, sequence_number]),
      events.slice(cut + 1).map((
        { type, sequence_number },
      ) => [type, sequence_number]),
    );
  }
});

Deno.test("responses' tools: a conversation has calls and outputs among its items, and goes on from its log", async () => {
  await using served = await app(call("Rome"));
  const { id: conversation } = await served.openai.conversations.create();
  const first = await ask(served, { conversation, input: "Rome?", tools });
  const [asked] = callsOf(first);
  const read = given(served);
  served.restart();
  say(served, "It is sunny.");
  const second = await ask(served, {
    conversation,
    input: outputOf(asked!),
    tools,
  });
  assertEquals(second.everstream.resumed, "replay");
  assertEquals(given(served), `${read}${SUNNY}It is sunny.`);
  const items = await Array.fromAsync(
    served.openai.conversations.items.list(conversation, { order: "asc" }),
  );
  assertEquals(items.map(({ type }) => type), [
    "message",
    "function_call",
    "function_call_output",
    "message",
  ]);
  assertEquals(
    await served.openai.conversations.items.retrieve(asked!.id!, {
      conversation_id: conversation,
    }),
    { ...asked!, id: asked!.id!, status: "completed" },
  );
  // Without its first item the log is made anew of the items, and the tools are told of again.
  await served.openai.conversations.items.delete(items[0]!.id!, {
    conversation_id: conversation,
  });
  await ask(served, { conversation, input: "And now?", tools });
  const anew = given(served, 1);
  const answered = `<|im_start|>assistant\n${call("Rome")}${SUNNY}It is sunny.`;
  assert(anew.includes("Functions:") && anew.includes(answered), anew);
});

Deno.test("responses' tools: a conversation can begin with calls and outputs", async () => {
  await using served = await app("You are welcome.");
  const { conversations } = served.openai;
  const made = await conversations.create({
    items: [
      { role: "user", content: "Rome?" },
      {
        type: "function_call",
        call_id: "c1",
        name: "weather",
        arguments: '{"city": "Rome"}',
      },
    ],
  });
  const { data: [output] } = await conversations.items.create(made.id, {
    items: outputOf({ call_id: "c1" }),
  });
  assert(output!.type === "function_call_output" && output.call_id === "c1");
  await ask(served, { conversation: made.id, input: "Thanks", tools });
  const [before, after] = given(served).split(call("Rome"));
  assert(before!.endsWith("Rome?<|im_end|>\n<|im_start|>assistant\n"), before);
  assert(
    after!.startsWith(SUNNY.replace("assistant\n", "user\nThanks")),
    after,
  );
});

Deno.test("responses' tools: an older response is branched from, with another output", async () => {
  await using served = await app(call("Rome"));
  const first = await ask(served, { input: "Rome?", tools });
  const [asked] = callsOf(first);
  say(served, "ok");
  const next = (output: string) =>
    ask(served, {
      previous_response_id: first.id,
      input: outputOf(asked!, output),
      tools,
    });
  await next("sunny");
  const other = await next("rain");
  assertEquals([other.everstream.branched, other.everstream.resumed], [
    true,
    "replay",
  ]);
  assertEquals(given(served, 1), given(served).replace("sunny", "rain"));
  const last = await ask(served, {
    previous_response_id: other.id,
    input: "thanks",
    tools,
  });
  assertEquals([last.everstream.resumed, last.output_text], ["slot", "ok"]);
  assertEquals(given(served, 1).split("Functions:").length, 2);
});

Deno.test("responses' tools: a history that the client keeps is read as the model wrote it", async () => {
  await using served = await app(`Hm.\n${call("Rome")}\n${call("Oslo")}`);
  const kept = { tools, store: false };
  const input: OpenAI.Responses.ResponseInput = [
    { role: "user", content: "Rome?" },
  ];
  const first = await ask(served, { ...kept, input });
  const before = given(served);
  const [rome, oslo] = callsOf(first);
  const parts = ["sun", "ny"].map((text) => ({
    type: "input_text" as const,
    text,
  }));
  input.push(
    ...first.output as OpenAI.Responses.ResponseInput,
    { ...outputOf(rome!)[0]!, output: parts } as typeof input[number],
    ...outputOf(oslo!, "rain"),
  );
  say(served, "It is sunny.");
  await ask(served, { ...kept, input });
  const results = SUNNY.replace(
    "<|im_start|>assistant\n",
    "<|im_start|>user\n<tool_response>\nrain\n</tool_response><|im_end|>\n",
  );
  assert(given(served).startsWith(before + results), given(served));
});

Deno.test("responses' tools: a call that is required comes, alone where they are not to be parallel", async () => {
  await using served = await app("I would rather not.");
  for (
    const tool_choice of ["required", {
      type: "function",
      name: "clock",
    }] as const
  ) {
    const response = await ask(served, {
      input: "Hi",
      tools: [{ ...weather, name: "clock", parameters: null }],
      tool_choice,
      parallel_tool_calls: false,
    });
    assertEquals(
      response.output.map((item) =>
        item.type === "function_call" && [item.name, item.arguments]
      ),
      [["clock", "{}"]],
    );
    assertEquals(
      [response.tool_choice, response.parallel_tool_calls],
      [tool_choice, false],
    );
  }
  say(served, `${call("Rome")}\n${call("Oslo")}`);
  const auto = { input: "Hi", tools, parallel_tool_calls: false };
  assertEquals(callsOf(await ask(served, auto)).length, 1);
  const none = await ask(served, { ...auto, tool_choice: "none" });
  assertEquals(none.output_text, `${call("Rome")}\n${call("Oslo")}`);
});

Deno.test("responses' tools: the tokens of tools are counted", async () => {
  await using served = await app(call("Rome"));
  const count = async (body: OpenAI.Responses.InputTokenCountParams) =>
    (await served.openai.responses.inputTokens.count(body)).input_tokens;
  const first = await ask(served, { input: "Rome?", tools });
  assertEquals(
    await count({ input: "Rome?", tools }),
    first.usage!.input_tokens,
  );
  const clock = [{ ...weather, name: "clock" }];
  const more = { previous_response_id: first.id, input: "Now?" };
  for (const tools of [[weather], clock]) {
    const counted = await count({ ...more, tools });
    const { usage } = await ask(served, { ...more, tools });
    assertEquals(counted, usage!.input_tokens);
  }
});

Deno.test("responses' format: an answer is of the format that is asked for", async () => {
  await using served = await app("I would rather not.");
  const schema = {
    type: "object",
    properties: { yes: { type: "boolean" }, of: { const: "us" } },
    required: ["yes", "of"],
  };
  const format = {
    type: "json_schema" as const,
    name: "answer",
    schema,
    strict: true,
  };
  const response = await ask(served, { input: "Hi", text: { format } });
  const { yes, of } = JSON.parse(response.output_text);
  assertEquals([typeof yes, of], ["boolean", "us"]);
  assertEquals(response.text, { format });
  const stream = served.openai.responses.stream({
    model: "default",
    temperature: 0,
    input: "Hi",
    text: { format },
  });
  const { output_parsed } = await stream.finalResponse();
  assertEquals(output_parsed, { yes, of });
  const next = await ask(served, {
    previous_response_id: response.id,
    input: "Hi",
    max_output_tokens: 60,
    text: { format: { type: "json_object" } },
  });
  assert(next.output_text.startsWith("{"));
  const odd = { ...format, schema: { type: "object", minProperties: 1 } };
  const error = await assertRejects(
    () => ask(served, { input: "Hi", text: { format: odd } }),
    OpenAI.APIError,
  ) as InstanceType<typeof OpenAI.APIError>;
  assertEquals([error.status, error.param], [
    400,
    "text.format.schema.minProperties",
  ]);
});
