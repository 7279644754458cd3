import { assertEquals } from "@std/assert";
import { textFormat } from "../../lib/openai/text_completion.ts";

const token = (bytes: number[]) => ({
  token: new TextDecoder().decode(Uint8Array.from(bytes)),
  bytes,
  logprob: -1,
});

Deno.test("tokens that are parts of characters are told by their bytes, and where the character begins", () => {
  const logprobs = [[0x61], [0xf0, 0x9f], [0x98], [0x80, 0x62], [
    0xef,
    0xbf,
    0xbd,
  ]]
    .map((bytes) => ({ ...token(bytes), top: [token([0xc3]), token([0x61])] }));
  const piece = { text: "a😀b\uFFFD", calls: [], logprobs };
  assertEquals(textFormat(() => "").choice(0).whole(piece), {
    text: "a😀b\uFFFD",
    logprobs: {
      tokens: [
        "a",
        "bytes:\\xf0\\x9f",
        "bytes:\\x98",
        "bytes:\\x80\\x62",
        "\uFFFD",
      ],
      token_logprobs: [-1, -1, -1, -1, -1],
      top_logprobs: [
        { "bytes:\\xc3": -1, a: -1 },
        { "bytes:\\xc3": -1, a: -1, "bytes:\\xf0\\x9f": -1 },
        { "bytes:\\xc3": -1, a: -1, "bytes:\\x98": -1 },
        { "bytes:\\xc3": -1, a: -1, "bytes:\\x80\\x62": -1 },
        { "bytes:\\xc3": -1, a: -1, "\uFFFD": -1 },
      ],
      text_offset: [0, 1, 1, 1, 3],
    },
  });
});
