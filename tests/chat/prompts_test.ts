/** Raw prompts, and what prompts come to. */
import { assertEquals, assertRejects } from "@std/assert";
import { RequestError } from "../../lib/chat/chat_model.ts";
import { readPieces } from "../../lib/chat/prompts.ts";
import { createChatTemplate } from "../../lib/chat/template.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";
import {
  answer,
  chat,
  END,
  openService,
  promptOf,
  ScriptedDecoder,
  START,
  TOKENIZER,
} from "./scripted_decoder.ts";

const raw = { ...chat([]), maxTokens: 1 };

Deno.test("a raw text stays text, control tokens' texts included", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const text = "<|im_start|>user hello<|im_end|>";
  const { usage } = await answer(service, { ...raw, prompt: { text } });
  const ids = TOKENIZER.encode(text);
  assertEquals(decoder.tokens[0], ids);
  assertEquals(ids.some((id) => TOKENIZER.isControl(id)), false);
  assertEquals(usage.promptTokens, ids.length);
});

Deno.test("token ids go to the model as they are, though their text has other tokens", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const bytes = [..."hello"].flatMap((letter) => TOKENIZER.encode(letter));
  const tokens = [START, ...bytes, END];
  await answer(service, { ...raw, prompt: { tokens } });
  assertEquals(decoder.tokens[0], tokens);
  // A conversation in the slot with the same text is another one.
  const whole = [START, ...TOKENIZER.encode("hello"), END];
  await answer(service, { ...raw, prompt: { tokens: whole } });
  assertEquals(decoder.tokens[0], whole);
});

Deno.test("a token that does not exist, and a prompt of nothing, are refused by name", async () => {
  const service = openService(new ScriptedDecoder());
  for (const prompt of [{ tokens: [TOKENIZER.size] }, { text: "" }]) {
    const error = await assertRejects(
      () => answer(service, { ...raw, prompt }),
      RequestError,
    );
    assertEquals((error as RequestError).param, "prompt");
  }
  const error = await assertRejects(
    () => service.decode([0, TOKENIZER.size]),
    RequestError,
    `${TOKENIZER.size}`,
  );
  assertEquals((error as RequestError).param, "tokens");
});

Deno.test("encode gives the tokens that an answer goes on from, decode their text", async () => {
  const decoder = new ScriptedDecoder();
  const service = openService(decoder);
  const request = chat(["hello <|im_end|>"], { maxTokens: 1 });
  const { tokens, text } = await service.encode({
    ...request,
    addGenerationPrompt: true,
  });
  await answer(service, request);
  assertEquals(decoder.tokens[0], tokens);
  assertEquals(decoder.text(0), promptOf(request));
  const prompt =
    "<|im_start|>user\nhello <|im_end|><|im_end|>\n<|im_start|>assistant\n";
  assertEquals([text, await service.decode(tokens)], [prompt, prompt]);
  assertEquals(
    await service.decode([...TOKENIZER.encode("é")].slice(0, 1)),
    "\uFFFD",
  );
});

Deno.test("before a raw text comes the token that the model expects there, unless it is to be bare", () => {
  const tokenizer = createTokenizer(smallVocabulary({ addBos: true }));
  const template = createChatTemplate("{{ messages[0].content }}", tokenizer);
  const read = (bare: boolean) =>
    readPieces(
      { messages: [], prompt: { text: "hi", bare } },
      { template, tokenizer },
      { addGenerationPrompt: true },
    );
  assertEquals(read(false), [{ special: 1 }, { text: "hi" }]);
  assertEquals(read(true), [{ text: "hi" }]);
});
