/** What log-probabilities tell joins to the text. */
import { assert, assertEquals } from "@std/assert";
import type { TokenLogprob } from "../../lib/chat/chat_model.ts";
import {
  chat,
  openService,
  ScriptedDecoder,
  TOKENIZER,
} from "./scripted_decoder.ts";

const TEXT = "naïve 😀 日本 hello é";

for (const stop of [[], ["本"]]) {
  Deno.test(`the tokens' bytes join to the streamed text, stop ${stop}`, async () => {
    const decoder = new ScriptedDecoder();
    decoder.answer = TOKENIZER.encode(TEXT);
    const service = openService(decoder);
    const logprobs: TokenLogprob[] = [];
    const pieces: string[] = [];
    const request = chat(["hi"], { topLogprobs: 2, stop });
    for await (const event of service.generate(request)) {
      if (event.type !== "text") continue;
      pieces.push(event.text);
      logprobs.push(...event.logprobs ?? []);
    }
    const bytes = Uint8Array.from(logprobs.flatMap((token) => token.bytes));
    const joined = new TextDecoder().decode(bytes);
    assert(
      logprobs.some(({ token }) => token === "\uFFFD"),
      "no part of a character",
    );
    // The token that completes a stop string is told, the text before it shown.
    assertEquals(
      joined,
      stop.length ? TEXT.slice(0, TEXT.indexOf("本") + 1) : TEXT,
    );
    assertEquals(pieces.join(""), stop.length ? joined.slice(0, -1) : joined);
    assert(pieces.every((piece) => piece.isWellFormed()));
  });
}
