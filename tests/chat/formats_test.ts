import { assertEquals, assertRejects } from "@std/assert";
import type { GenerationRequest } from "../../lib/chat/chat_model.ts";
import { RequestError } from "../../lib/chat/chat_model.ts";
import { jsonGrammar } from "../../lib/grammar/json_grammar.ts";
import {
  answer,
  chat,
  openService,
  ScriptedDecoder,
  TOKENIZER,
} from "./scripted_decoder.ts";

const SCHEMA = {
  type: "object",
  properties: { hell: { const: "hello" }, us: { type: "boolean" } },
  required: ["hell", "us"],
};
const TEXT = '{"hell":"hello","us":false}';

function formatted(
  changes: Partial<GenerationRequest> = {},
): GenerationRequest {
  return chat(["hi"], {
    format: { grammar: jsonGrammar(SCHEMA), param: "response_format" },
    ...changes,
  });
}

/** A model that would rather write something else, and words its booleans. */
function opinionated(text = "false"): ScriptedDecoder {
  const decoder = new ScriptedDecoder({ slots: 2 });
  decoder.answer = Array.from({ length: 40 }, () => TOKENIZER.encode(text)[0]!);
  return decoder;
}

Deno.test("an answer of a format is of that format, and ends by itself", async () => {
  const decoder = opinionated();
  const service = openService(decoder, { maxTokens: 400 });
  try {
    const answers = await Promise.all(
      [0, 1].map(() => answer(service, formatted({ topLogprobs: 1 }))),
    );
    for (const { text, finishReason } of answers) {
      assertEquals([JSON.parse(text), finishReason], [
        JSON.parse(TEXT),
        "stop",
      ]);
    }
    assertEquals(decoder.batches.some((chunks) => chunks === 2), true); // they share their steps
    assertEquals(
      (await answer(service, chat(["hi"]))).text.startsWith("ffff"),
      true,
    );
  } finally {
    service.close();
  }
});

Deno.test("an answer of a format that is cut ends with length, and the conversation goes on", async () => {
  const service = openService(opinionated(), { maxTokens: 400 });
  try {
    const { text, finishReason } = await answer(
      service,
      formatted({ maxTokens: 3 }),
    );
    assertEquals([
      finishReason,
      text.length > 0 && TEXT.startsWith(text.replaceAll(/\s/g, "")),
    ], ["length", true]);
    assertEquals((await answer(service, formatted())).finishReason, "stop");
    assertEquals(service.load, { running: 0, waiting: 0 });
  } finally {
    service.close();
  }
});

Deno.test("a format that cannot be kept is refused before a slot is taken", async () => {
  const decoder = opinionated();
  const service = openService(decoder, { maxTokens: 400 });
  try {
    const format = { grammar: "root ::= root", param: "tools" };
    const error = await assertRejects(
      () => answer(service, formatted({ format })),
      RequestError,
    ) as RequestError;
    assertEquals([error.param, decoder.opened], ["tools", []]);
    assertEquals(service.load, { running: 0, waiting: 0 });
  } finally {
    service.close();
  }
});
