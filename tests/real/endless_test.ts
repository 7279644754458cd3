/** The real model far past its window, and turn after turn in one slot. */
import { assert, assertEquals } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type {
  ChatMessage,
  GenerationEvent,
} from "../../lib/chat/chat_model.ts";
import goldens from "../text/goldens/smollm2.json" with { type: "json" };
import greedyGoldens from "./goldens/greedy.json" with { type: "json" };
import { loadedModel, logSoftmax } from "./loaded_model.ts";

const SMALL = {
  EVERSTREAM_ENGINE: "native",
  EVERSTREAM_MEMORY: "12MB", // two slots
  EVERSTREAM_WINDOW: "124",
};
const text = goldens.excerpt.ids.split(" ").map(Number);
const KEPT = { sanitizeOps: false, sanitizeResources: false }; // the session is kept

type End = Extract<GenerationEvent, { type: "end" }>;

async function answer(
  variables: Record<string, string>,
  messages: ChatMessage[],
  maxTokens: number,
): Promise<{ text: string; end: End }> {
  const { service } = await loadedModel(variables);
  let text = "";
  let end: End | undefined;
  const request = {
    client: { owner: "", id: "" },
    messages,
    sampling: { temperature: 0 },
    stop: [],
    maxTokens,
  };
  for await (const event of service.generate(request)) {
    if (event.type === "text") text += event.text;
    if (event.type === "end") end = event;
  }
  return { text, end: end! };
}

Deno.test({
  name: "greedy answers of the default model are the goldens",
  ...KEPT,
  async fn() {
    const variables = {
      ...SMALL,
      EVERSTREAM_MEMORY: "290MB", // a fresh slot for each chat
      EVERSTREAM_WINDOW: "1020",
    };
    for (const { messages, text } of greedyGoldens) {
      const got = await answer(variables, messages as ChatMessage[], 32);
      assertEquals(got.text, text, JSON.stringify(messages));
    }
  },
});

Deno.test({
  name: "ten windows' worth of text keeps perplexity, in constant bytes",
  ...KEPT,
  async fn() {
    const { decoder } = (await loadedModel(SMALL)).formats[0]!;
    const bytes = decoder.cacheBytes;
    decoder.open(0, new SinkWindow(4, 124));
    const stream = [...text, ...text, ...text].slice(0, 1300);
    const losses: number[] = [];
    let logits: Float32Array | undefined;
    for (const token of stream) {
      if (logits) losses.push(-logSoftmax(logits)[token]!);
      [logits] = await decoder.run([{ slot: 0, tokens: [token], logits: 1 }]);
      assertEquals(decoder.cacheBytes, bytes);
    }
    const mean = (values: number[]) =>
      values.reduce((a, b) => a + b) / values.length;
    const perplexity = Math.exp(mean(losses.slice(256)));
    console.log(`perplexity past the window: ${perplexity.toFixed(1)}`);
    assert(perplexity < 60, `perplexity is ${perplexity}`);
  },
});

Deno.test({
  name:
    "a client that resends its history pays for its new tokens alone, past eviction too",
  ...KEPT,
  async fn() {
    const messages: ChatMessage[] = [
      { role: "system", content: "You are a helpful assistant." },
    ];
    const cached: number[] = [];
    let end: End | undefined;
    let paid = 0;
    for (let turn = 0; turn < 8; turn++) {
      messages.push({
        role: "user",
        content: `Tell me one fact about the number ${turn}.`,
      });
      const before = end?.usage.cache.seen ?? 0;
      const got = await answer(SMALL, messages, 40);
      end = got.end;
      messages.push({ role: "assistant", content: got.text });
      cached.push(end.usage.cachedTokens);
      if (turn > 0) {
        paid = end.usage.promptTokens - end.usage.cachedTokens;
        // All that the slot had seen, and the last answer's final token, are there already.
        assert(
          end.usage.cachedTokens >= before,
          `${end.usage.cachedTokens} of ${before} kept`,
        );
        assert(paid < 40, `turn ${turn} read ${paid} tokens`);
      }
    }
    assert(
      end!.usage.cache.evicted > 100,
      "the conversation should be past its window",
    );
    assertEquals(end!.usage.cache.held, 128);
  },
});

Deno.test({
  name:
    "a conversation that was swapped out twenty times says what one says that never was",
  ...KEPT,
  async fn() {
    const chats: Record<string, ChatMessage[]> = { alone: [], swapped: [] };
    const tell = async (
      variables: Record<string, string>,
      messages: ChatMessage[],
      content: string,
    ) => {
      messages.push({ role: "user", content });
      const { text, end } = await answer(variables, messages, 12);
      messages.push({ role: "assistant", content: text });
      return end.usage.cachedTokens;
    };
    const oneSlot = { ...SMALL, EVERSTREAM_MEMORY: "6MB" };
    const other: ChatMessage[] = [];
    for (let turn = 0; turn < 21; turn++) {
      const question = `Name another animal, the ${turn}th one.`;
      const cached = [
        await tell(SMALL, chats.alone!, question),
        await tell(oneSlot, chats.swapped!, question),
      ];
      assertEquals(cached[0], cached[1]);
      if (turn > 0) assert(cached[0]! > 0);
      await tell(oneSlot, other, `What is ${turn} and ${turn}?`);
    }
    assertEquals(chats.swapped, chats.alone);
    const { service } = await loadedModel(oneSlot);
    const { totals } = await service.state();
    assert(totals.swappedIn >= 40, `swapped in ${totals.swappedIn} times`);
    assert(totals.evicted > 300, `evicted ${totals.evicted}`);
  },
});

Deno.test({
  name:
    "six conversations at once say what each says alone, on an exact engine",
  ...KEPT,
  async fn() {
    const exact = {
      ...SMALL,
      EVERSTREAM_ENGINE: "wasm",
      EVERSTREAM_MEMORY: "48MB",
    };
    const questions = ["France", "Italy", "Spain", "Norway", "Japan", "Egypt"]
      .map((country): ChatMessage[] => [
        { role: "system", content: "Answer in English." },
        { role: "user", content: `What is the capital of ${country}?` },
      ]);
    const together = await Promise.all(
      questions.map((messages) => answer(exact, messages, 10)),
    );
    for (const [i, messages] of questions.entries()) {
      const alone = await answer(
        { ...exact, EVERSTREAM_SHARED: "0" },
        messages,
        10,
      );
      assertEquals(together[i]!.text, alone.text);
    }
    const { service } = await loadedModel(exact);
    const { totals } = await service.state();
    assertEquals([totals.beginningsAsked, totals.beginningsFound], [6, 5]);
  },
});
