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
  EVERSTREAM_SLOTS: "2",
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
    messages,
    sampling: { temperature: 0 },
    stop: [],
    maxTokens,
  };
  for await (const event of service.generate(request)) {
    if (event.type === "text") text += event.text;
    else end = event;
  }
  return { text, end: end! };
}

Deno.test({
  name: "greedy answers of the default model are the goldens",
  ...KEPT,
  async fn() {
    const variables = {
      ...SMALL,
      EVERSTREAM_SLOTS: "6", // a fresh one for each chat
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
    const { decoder } = await loadedModel(SMALL);
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
