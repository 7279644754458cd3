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
/** Chats in which the likeliest token always leads by a good margin, so that no rounding decides. */
const CHATS: ChatMessage[][] = [
  [
    { role: "system", content: "Answer in English." },
    { role: "user", content: "What is the capital of France?" },
  ],
  [
    system,
    {
      role: "user",
      content: "Write the numbers from 1 to 20, separated by commas.",
    },
  ],
  [system, { role: "user", content: "Write the alphabet in lower case." }],
  [system, { role: "user", content: "Write the word hello ten times." }],
  [
    system,
    { role: "user", content: "What is the capital of France?" },
    { role: "assistant", content: "The capital of France is Paris." },
    { role: "user", content: "What language is spoken there?" },
  ],
  [system, { role: "user", content: "Translate 'good morning' into French." }],
];

const { service } = await loadedModel({
  EVERSTREAM_ENGINE: "native",
  EVERSTREAM_MEMORY: "290MB", // a fresh slot for each chat
  EVERSTREAM_WINDOW: "1020",
});
const goldens = [];
for (const messages of CHATS) {
  let text = "";
  const request = {
    client: { owner: "", id: "" },
    messages,
    sampling: { temperature: 0 },
    stop: [],
    maxTokens: 32,
  };
  for await (const event of service.generate(request)) {
    if (event.type === "text") text += event.text;
  }
  goldens.push({ messages, text });
}
const path = new URL("./goldens/greedy.json", import.meta.url);
await Deno.writeTextFile(path, `${JSON.stringify(goldens, null, 2)}\n`);
Deno.exit(0);
