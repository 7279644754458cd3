/**
 * Writes goldens/greedy.json: what the default model answers on engine native at temperature 0.
 * Run: `deno run -A tests/real/make_greedy_goldens.ts`, and read what changed.
 *
 * @module
 */
import type { ChatMessage } from "../../lib/chat/chat_model.ts";
import { loadedModel } from "./loaded_model.ts";

const system = {
  role: "system",
  content: "You are a helpful assistant.",
} as const;
const CHATS: ChatMessage[][] = [
  [system, { role: "user", content: "What is the capital of France?" }],
  [system, { role: "user", content: "Count from one to ten." }],
  [system, {
    role: "user",
    content: "Write a Python function that adds two numbers.",
  }],
  [{ role: "user", content: "Name three colours." }],
  [
    system,
    { role: "user", content: "What is the capital of France?" },
    { role: "assistant", content: "The capital of France is Paris." },
    { role: "user", content: "What language is spoken there?" },
  ],
  [system, { role: "user", content: "Say hello in Japanese (日本語) 👋." }],
];

const { service } = await loadedModel({
  EVERSTREAM_ENGINE: "native",
  EVERSTREAM_SLOTS: "6", // a fresh one for each chat
  EVERSTREAM_WINDOW: "1020",
});
const goldens = [];
for (const messages of CHATS) {
  let text = "";
  const request = {
    messages,
    sampling: { temperature: 0 },
    stop: [],
    maxTokens: 48,
  };
  for await (const event of service.generate(request)) {
    if (event.type === "text") text += event.text;
  }
  goldens.push({ messages, text });
}
const path = new URL("./goldens/greedy.json", import.meta.url);
await Deno.writeTextFile(path, `${JSON.stringify(goldens, null, 2)}\n`);
Deno.exit(0);
