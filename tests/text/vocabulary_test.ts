import { assertEquals, assertThrows } from "@std/assert";
import { readVocabulary } from "../../lib/text/vocabulary.ts";
import { preTokenizer } from "../../lib/text/pre_tokenizers.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "./small_vocabulary.ts";

const GOOD: Record<string, unknown> = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "smollm",
  "tokenizer.ggml.tokens": ["<|endoftext|>", "a", "b", "ab"],
  "tokenizer.ggml.token_type": [3, 1, 1, 1],
  "tokenizer.ggml.merges": ["a b"],
  "tokenizer.ggml.bos_token_id": 0,
  "tokenizer.ggml.eos_token_id": 0n,
  "tokenizer.ggml.add_bos_token": true,
};

function read(changes: Record<string, unknown> = {}) {
  const metadata = { ...GOOD, ...changes };
  return readVocabulary((key) => metadata[key]);
}

Deno.test("a vocabulary is read from metadata", () => {
  assertEquals(read(), {
    model: "gpt2",
    pre: "smollm",
    tokens: ["<|endoftext|>", "a", "b", "ab"],
    tokenTypes: [3, 1, 1, 1],
    merges: ["a b"],
    bos: 0,
    eos: 0,
    addBos: true,
    addSpacePrefix: false,
  });
});

Deno.test("what a file may leave out has llama.cpp's default", () => {
  const vocabulary = read({
    "tokenizer.ggml.pre": undefined,
    "tokenizer.ggml.token_type": undefined,
    "tokenizer.ggml.bos_token_id": undefined,
  });
  assertEquals(vocabulary.pre, "default");
  assertEquals(vocabulary.tokenTypes, [1, 1, 1, 1]);
  assertEquals("bos" in vocabulary, false);
});

Deno.test("token types may be a typed array", () => {
  const changes = { "tokenizer.ggml.token_type": Int32Array.of(3, 1, 1, 4) };
  assertEquals(read(changes).tokenTypes, [3, 1, 1, 4]);
});

const BAD: [key: string, value: unknown, message: string][] = [
  ["tokenizer.ggml.model", undefined, "tokenizer.ggml.model as a string"],
  ["tokenizer.ggml.model", 3, "current value is 3"],
  ["tokenizer.ggml.tokens", undefined, "tokenizer.ggml.tokens as an array"],
  ["tokenizer.ggml.tokens", [], "tokenizer.ggml.tokens: it is empty"],
  ["tokenizer.ggml.tokens", ["a", 1, "b", "c"], "tokenizer.ggml.tokens[1]"],
  [
    "tokenizer.ggml.token_type",
    [3, 1, 1],
    "3 entries, tokenizer.ggml.tokens has 4",
  ],
  ["tokenizer.ggml.token_type", [3, 1, 1, 7], "tokenizer.ggml.token_type[3]"],
  ["tokenizer.ggml.token_type", [3, 1, 1, 1.5], "tokenizer.ggml.token_type[3]"],
  [
    "tokenizer.ggml.token_type",
    "3111",
    "tokenizer.ggml.token_type as an array",
  ],
  ["tokenizer.ggml.merges", ["ab"], "tokenizer.ggml.merges[0]"],
  ["tokenizer.ggml.merges", ["a b", "a b c"], "tokenizer.ggml.merges[1]"],
  ["tokenizer.ggml.merges", [" b"], "tokenizer.ggml.merges[0]"],
  ["tokenizer.ggml.merges", ["a "], "tokenizer.ggml.merges[0]"],
  ["tokenizer.ggml.bos_token_id", 4, "tokenizer.ggml.bos_token_id"],
  ["tokenizer.ggml.eos_token_id", -1, "tokenizer.ggml.eos_token_id"],
  ["tokenizer.ggml.eos_token_id", "2", "tokenizer.ggml.eos_token_id"],
  ["tokenizer.ggml.unknown_token_id", 0.5, "tokenizer.ggml.unknown_token_id"],
  ["tokenizer.ggml.add_bos_token", 1, "tokenizer.ggml.add_bos_token"],
];

for (const [key, value, message] of BAD) {
  const shown = Array.isArray(value) ? `[${value}]` : String(value);
  Deno.test(`a vocabulary with ${key} = ${shown} is refused`, () => {
    assertThrows(() => read({ [key]: value }), Error, message);
  });
}

Deno.test("an unknown pre-tokenizer is an error that lists the known ones", () => {
  const error = assertThrows(() => preTokenizer("nope"), RangeError, '"nope"');
  for (
    const known of [
      "smollm",
      "gpt-2",
      "default",
      "llama-bpe",
      "llama3",
      "qwen2",
    ]
  ) {
    assertEquals(error.message.includes(known), true, known);
  }
});

Deno.test("a tokenizer of another model than gpt2 is refused", () => {
  const vocabulary = smallVocabulary({ model: "llama" });
  assertThrows(() => createTokenizer(vocabulary), RangeError, "known is gpt2");
});

Deno.test("a merge of tokens that do not exist is refused", () => {
  const vocabulary = smallVocabulary({ merges: ["e r", "q zz"] });
  assertThrows(
    () => createTokenizer(vocabulary),
    RangeError,
    "tokenizer.ggml.merges[1]",
  );
});
