/** Several answers to one prompt, on the service. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { answerChoices, seedOfChoice } from "../../lib/chat/choices.ts";
import { RequestError } from "../../lib/chat/chat_model.ts";
import {
  chat,
  openService,
  ScriptedDecoder,
  TOKENIZER,
} from "./scripted_decoder.ts";

const SHARED = { sharedBytes: 1 << 20 };

async function choices(
  service: ReturnType<typeof openService>,
  request: ReturnType<typeof chat>,
  n: number,
) {
  const texts = Array(n).fill("");
  let usage;
  for await (const step of answerChoices(service, [request], n)) {
    if (step.type === "end") usage = step.usage;
    else if (step.event.type === "text") texts[step.index] += step.event.text;
  }
  return { texts, usage: usage! };
}

Deno.test("choices: a prompt is computed once for all of them", async () => {
  const decoder = new ScriptedDecoder({ slots: 3 });
  const service = openService(decoder, SHARED);
  const request = chat(["a rather long question about nothing at all"]);
  const { texts, usage } = await choices(service, request, 3);
  assertEquals(texts, ["hello", "hello", "hello"]);
  const answered = TOKENIZER.encode("hello").length;
  // The prompt but its last token once; the last one, and the answer, for each.
  assertEquals(
    decoder.takeCost(),
    usage.promptTokens - 1 + 3 * (1 + answered),
  );
  assertEquals(usage.cachedTokens, 0);
  assertEquals(usage.completionTokens, 3 * (answered + 1));
  assertEquals(service.load, { running: 0, waiting: 0 });
});

Deno.test("choices: of a conversation that goes on, only what is new is computed", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder, SHARED);
  await choices(service, chat(["a long question about nothing"]), 1);
  decoder.takeCost();
  const request = chat(["a long question about nothing", "hello", "more"]);
  const { usage } = await choices(service, request, 2);
  const before = TOKENIZER.encode("a long question about nothing").length;
  assert(decoder.takeCost() < usage.promptTokens - before);
  assert(usage.cachedTokens > before);
});

Deno.test("choices: raw text and token ids are shared, too, each for itself", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder, SHARED);
  const ids = TOKENIZER.encode("user hello user hello");
  for (const prompt of [{ text: "user hello user hello" }, { tokens: ids }]) {
    const { usage } = await choices(
      service,
      { ...chat([]), prompt, maxTokens: 1 },
      2,
    );
    assertEquals(usage.promptTokens, ids.length);
    assertEquals(decoder.takeCost(), ids.length - 1 + 2);
  }
});

Deno.test("choices: more than there are slots are refused", async () => {
  const service = openService(new ScriptedDecoder({ slots: 2 }), SHARED);
  const error = await assertRejects(
    () => choices(service, chat(["hi"]), 3),
    RequestError,
    "2 slots",
  );
  assertEquals((error as RequestError).param, "n");
  assertEquals(service.load, { running: 0, waiting: 0 });
});

Deno.test("choices: leaving early frees every slot", async () => {
  const decoder = new ScriptedDecoder({ slots: 3 });
  decoder.answer = Array(5000).fill(TOKENIZER.encode("a")[0]);
  const service = openService(decoder, { ...SHARED, maxTokens: 5000 });
  for await (const step of answerChoices(service, [chat(["hi"])], 3)) {
    if (step.type === "choice" && step.event.type === "text") break;
  }
  assertEquals(service.load, { running: 0, waiting: 0 });
});

Deno.test("choices: seeds derived from one differ, and are the same again", () => {
  for (const seed of [0, -3, 7, Number.MAX_SAFE_INTEGER]) {
    const seeds = Array.from({ length: 8 }, (_, k) => seedOfChoice(seed, k));
    assertEquals(seeds[0], seed);
    assertEquals(new Set(seeds).size, 8);
    assert(seeds.every(Number.isSafeInteger), seeds.join());
    assertEquals(seeds, seeds.map((_, k) => seedOfChoice(seed, k)));
  }
});

Deno.test("choices: what one that left had claimed is computed by the next", async () => {
  const decoder = new ScriptedDecoder({ slots: 2 });
  const service = openService(decoder, { ...SHARED, answerTimeout: 2000 });
  const request = chat(["hi"], { system: "hello user" });
  for (const  of of[request, { ...request, choices: 2 }]) {
    const left = service.generate(of);
    await left.next();
    await left.return();
    const { texts } = await choices(service, request, of === request ? 1 : 2);
    assertEquals(new Set(texts), new Set(["hello"]));
  }
});
