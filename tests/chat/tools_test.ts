/** Tools: what templates tell of them, and what answers call. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  type ChatMessage,
  RequestError,
  type Tool,
} from "../../lib/chat/chat_model.ts";
import { answerChoices, type ChoiceEvent } from "../../lib/chat/choices.ts";
import { readPiecesBehind } from "../../lib/chat/prompts.ts";
import { canonicalText, createChatTemplate } from "../../lib/chat/template.ts";
import { type AnswerPart, ToolCallReader } from "../../lib/chat/tool_calls.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { CONTROLS, smallVocabulary } from "../text/small_vocabulary.ts";
import {
  chat,
  openService,
  ScriptedDecoder,
  TEMPLATE,
  TOKENIZER,
} from "./scripted_decoder.ts";
import { TOOLS_SOURCE, TOOLS_TEMPLATE } from "./tools_template.ts";

const TOOLS: Tool[] = [{
  name: "weather",
  description: "Tells the weather",
  parameters: { type: "object", properties: { city: { type: "string" } } },
}];
const CALL =
  '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const ROME = { name: "weather", arguments: { city: "Rome" } };

const plain = (
  template: typeof TEMPLATE,
  messages: ChatMessage[],
  tools = TOOLS,
) =>
  canonicalText(
    template.render(messages, { addGenerationPrompt: true, tools }),
  ).replaceAll(/\uDC00(\d+);/gu, (_, id) => CONTROLS[id]!);

Deno.test("a template says by what it renders whether it knows tools", () => {
  assertEquals([TEMPLATE.toolCalls, TOOLS_TEMPLATE.toolCalls], [false, true]);
  // It tells of tools, but writes calls in another way.
  const other =
    "{{ tools }}{% for m in messages %}{{ m.tool_calls }}{% endfor %}";
  assertEquals(createChatTemplate(other, TOKENIZER).toolCalls, false);
  // Calls are control tokens, which have no text to read.
  const vocabulary = smallVocabulary();
  const tokens = [...vocabulary.tokens, "<tool_call>"];
  const tokenTypes = [...vocabulary.tokenTypes, 3];
  const tokenizer = createTokenizer({ ...vocabulary, tokens, tokenTypes });
  assertEquals(createChatTemplate(TOOLS_SOURCE, tokenizer).toolCalls, false);
});

Deno.test("tools, calls and results are rendered as the template has them", () => {
  const prompt = plain(TOOLS_TEMPLATE, [
    { role: "user", content: "Rome?" },
    { role: "assistant", content: "", toolCalls: [{ id: "1", ...ROME }] },
    { role: "tool", content: "sunny", toolCallId: "1" },
  ]);
  assertEquals(
    prompt,
    '<|im_start|>system\nFunctions:\n{"type": "function", "function": {"name": "weather", ' +
      '"description": "Tells the weather", "parameters": {"type": "object", "properties": ' +
      '{"city": {"type": "string"}}}}}<|im_end|>\n<|im_start|>user\nRome?<|im_end|>\n' +
      `<|im_start|>assistant\n${CALL}<|im_end|>\n` +
      "<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
  );
  const block = TOOLS_TEMPLATE.renderSystemBlock(
    [{ role: "user", content: "Rome?" }],
    { tools: TOOLS },
  );
  assert(canonicalText(block!).includes("Tells the weather"));
});

Deno.test("what templates compare is whole, though it be part of a control token's text", () => {
  const vocabulary = smallVocabulary();
  const tokenizer = createTokenizer({
    ...vocabulary,
    tokens: [...vocabulary.tokens, "<|function_name|>"],
    tokenTypes: [...vocabulary.tokenTypes, 3],
  });
  const template = createChatTemplate(
    "{% for t in tools %}{% if t.type == 'function' %}{{ t.function.name }}{% endif %}{% endfor %}",
    tokenizer,
  );
  assertEquals(
    template.render([{ role: "user", content: "u" }], {
      addGenerationPrompt: true,
      tools: TOOLS,
    }),
    [{ text: "weather" }],
  );
});

Deno.test("tools that come behind an answer are told of before the messages", () => {
  const behind = (messages: ChatMessage[], tools: Tool[]) =>
    canonicalText(
      readPiecesBehind({ messages, tools }, { template: TOOLS_TEMPLATE }),
    ).replaceAll(/\uDC00(\d+);/gu, (_, id) => CONTROLS[id]!);
  const block = plain(TOOLS_TEMPLATE, []).replace(
    /<\|im_start\|>assistant\n$/,
    "",
  );
  const next: ChatMessage = { role: "user", content: "Rome?" };
  const asked = "<|im_start|>user\nRome?<|im_end|>\n<|im_start|>assistant\n";
  assertEquals(behind([next], []), `<|im_end|>\n${asked}`);
  const empty = block.replace("system\n", "system\n\n");
  assertEquals(behind([next], TOOLS), `<|im_end|>\n${empty}${asked}`);
  const brief: ChatMessage = { role: "system", content: "Be brief." };
  assertEquals(
    behind([brief, next], TOOLS),
    `<|im_end|>\n${block.replace("system\n", "system\nBe brief.\n")}${asked}`,
  );
});

/** JSON with control tokens' texts, and parts of them, in values and names. */
const hostile = fc.array(
  fc.constantFrom(...CONTROLS, "<|", "|>", "im_start", "tool", "a", '"', " "),
  { maxLength: 4 },
).map((parts) => parts.join(""));

Deno.test("no tool, call or argument becomes a control token, and none is changed", () => {
  const bare = canonicalText(
    TOOLS_TEMPLATE.render([
      { role: "user", content: "u" },
      { role: "assistant", content: "", toolCalls: [{ id: "1", ...ROME }] },
    ], { addGenerationPrompt: true, tools: TOOLS }),
  ).split("\uDC00").length;
  fc.assert(fc.property(hostile, hostile, hostile, (name, key, value) => {
    const args = { [key]: { type: value, [value]: [value] } };
    const pieces = TOOLS_TEMPLATE.render([
      { role: "user", content: "u" },
      {
        role: "assistant",
        content: "",
        toolCalls: [{ id: "1", name, arguments: args }],
      },
    ], {
      addGenerationPrompt: true,
      tools: [{ name, description: value, parameters: args }],
    });
    const text = canonicalText(pieces);
    assertEquals(text.split("\uDC00").length, bare);
    const json = JSON.stringify(value);
    assert(text.includes(`"description": ${json}`), text);
    assert(
      text.includes(
        `"name": "${name}", "arguments": {${JSON.stringify(key)}: `,
      ),
    );
  }));
});

function read(pieces: string[]): AnswerPart[] {
  let ids = 0;
  const reader = new ToolCallReader(() => `call_${ids++}`);
  const parts = [
    ...pieces.flatMap((piece) => reader.push(piece)),
    ...reader.end(),
  ];
  // Text side by side is one text, however it was cut.
  return parts.reduce<AnswerPart[]>((all, part) => {
    const last = all.at(-1);
    if (last && "text" in last && "text" in part) last.text += part.text;
    else all.push({ ...part });
    return all;
  }, []);
}

Deno.test("calls are read out of an answer's text", () => {
  const call = (id: number) => ({ call: { id: `call_${id}`, ...ROME } });
  for (
    const [text, parts] of [
      ["Hi there \n", [{ text: "Hi there \n" }]],
      [CALL, [call(0)]],
      [`Let me see.\n${CALL}\n${CALL}\n`, [
        { text: "Let me see." },
        call(0),
        call(1),
      ]],
      // It only lacks its end.
      [CALL.replace("</tool_call>", ""), [call(0)]],
      [CALL.slice(0, -3), [{ text: CALL.slice(0, -3) }]],
      [`x \n${CALL}y`, [{ text: "x" }, call(0), { text: "y" }]],
      [`${CALL} done`, [call(0), { text: " done" }]],
      // Its end is where no argument has it.
      [
        '<tool_call>{"name": "f", "arguments": {"a": "\\\\</tool_call>\\""}}</tool_call>!',
        [
          {
            call: {
              id: "call_0",
              name: "f",
              arguments: { a: '\\</tool_call>"' },
            },
          },
          { text: "!" },
        ],
      ],
      // No calls.
      ["<tool_call>no</tool_call> x", [{
        text: "<tool_call>no</tool_call> x",
      }]],
      ['<tool_call>{"name": 5}</tool_call>', [{
        text: '<tool_call>{"name": 5}</tool_call>',
      }]],
      ['<tool_call>{"name": "f", "arguments": []}</tool_call>', [{
        text: '<tool_call>{"name": "f", "arguments": []}</tool_call>',
      }]],
      ["<tool", [{ text: "<tool" }]],
      ["a <tool_ca b", [{ text: "a <tool_ca b" }]],
      ['<tool_call>{"name":"f"}</tool_call>', [{
        call: { id: "call_0", name: "f", arguments: {} },
      }]],
    ] as [string, AnswerPart[]][]
  ) {
    assertEquals(read([text]), parts, text);
    assertEquals(read([...text]), parts, text);
  }
});

Deno.test("calls are the same however the text is cut", () => {
  const bits = fc.constantFrom(
    CALL,
    "<tool_call>",
    "</tool_call>",
    "<tool",
    "x",
    " \n",
    "{}",
  );
  fc.assert(fc.property(
    fc.array(bits, { maxLength: 6 }).map((all) => all.join("")),
    fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
    (text, lengths) => {
      const pieces: string[] = [];
      for (let i = 0; i < text.length;) {
        const length = lengths.next().value;
        pieces.push(text.slice(i, i + length));
        i += length;
      }
      assertEquals(read(pieces), read([text]));
    },
  ));
});

async function ask(
  text: string,
  tools: Tool[] | undefined,
  maxTokens?: number,
) {
  const decoder = new ScriptedDecoder();
  decoder.answer = TOKENIZER.encode(text);
  const service = openService(decoder, {
    template: TOOLS_TEMPLATE,
    maxTokens: 1000,
  });
  const request = chat(["Rome?"], { tools, maxTokens });
  const events: ChoiceEvent[] = [];
  for await (const step of answerChoices(service, [request], 1)) {
    if (step.type === "choice") events.push(step.event);
  }
  const pieces = events.filter((event) => event.type === "text");
  return {
    text: pieces.map((event) => event.text).join(""),
    calls: pieces.flatMap((event) => "calls" in event ? event.calls ?? [] : []),
    reason: events.flatMap((e) => e.type === "end" ? [e.finishReason] : [])[0],
  };
}

Deno.test("an answer that calls ends with tool_calls; without tools its text is text", async () => {
  const { text, calls: [call], reason } = await ask(`Hm.\n${CALL}`, TOOLS);
  assertEquals([text, reason], ["Hm.", "tool_calls"]);
  assertEquals({ name: call!.name, arguments: call!.arguments }, ROME);
  assertEquals(await ask("Hi\n", TOOLS), {
    text: "Hi\n",
    calls: [],
    reason: "stop",
  });
  assertEquals(await ask(CALL, undefined), {
    text: CALL,
    calls: [],
    reason: "stop",
  });
  const cut = await ask(CALL, TOOLS, 9);
  assertEquals([cut.calls, cut.reason, CALL.startsWith(cut.text)], [
    [],
    "length",
    true,
  ]);
});

Deno.test("a model whose template has no tools refuses them and calls by name", async () => {
  const service = openService(new ScriptedDecoder());
  const call: ChatMessage = {
    role: "assistant",
    content: "",
    toolCalls: [{ id: "1", ...ROME }],
  };
  const called = chat(["hi"]);
  called.messages.push(call);
  for (
    const [request, param] of [
      [chat(["hi"], { tools: TOOLS }), "tools"],
      [called, "messages[1].tool_calls"],
    ] as const
  ) {
    const error = await assertRejects(
      () => Array.fromAsync(service.generate(request)),
      RequestError,
      "must be left out: this model's chat template has no tools",
    );
    assertEquals((error as RequestError).param, param);
  }
});
