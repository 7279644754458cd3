import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  createTokenizer,
  type Piece,
  type Tokenizer,
} from "../../lib/text/tokenizer.ts";
import { CONTROLS, smallVocabulary } from "./small_vocabulary.ts";

const tokenizer = createTokenizer(smallVocabulary());

function decode(ids: number[], by: Tokenizer = tokenizer): string {
  const bytes = new Uint8Array(ids.flatMap((id) => [...by.bytes(id)]));
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    bytes,
  );
}

function tokens(text: string, by: Tokenizer = tokenizer): string[] {
  return by.encode(text).map((id) => decode([id], by));
}

/** Any text, and often what tokenizers get wrong. */
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "binary" }),
  fc.array(
    fc.constantFrom(...CONTROLS, "hello", " ", "\r\n", "the", "<|", "1", "é"),
  ).map((parts) => parts.join("")),
);

Deno.test("text is merged by rank, after it was cut into words", () => {
  assertEquals(tokens("hello the user 42"), [
    "he",
    "ll",
    "o",
    " the",
    " ",
    "user",
    " ",
    "4",
    "2",
  ]);
});

Deno.test("the empty text has no tokens", () => {
  assertEquals(tokenizer.encode(""), []);
  assertEquals(tokenizer.encodePieces([]), []);
  assertEquals(tokenizer.encodePieces([{ text: "" }]), []);
});

Deno.test("tokens' bytes give back the text", () => {
  fc.assert(
    fc.property(
      text,
      (text) => assertEquals(decode(tokenizer.encode(text)), text),
    ),
  );
});

Deno.test("text never becomes a control token", () => {
  fc.assert(fc.property(text, (text) => {
    assertEquals(
      tokenizer.encode(text).filter((id) => tokenizer.isControl(id)),
      [],
    );
  }));
});

Deno.test("not even a vocabulary that merges text to a control token lets text become one", () => {
  const small = smallVocabulary();
  for (const pre of ["smollm", "llama-bpe"]) {
    const vocabulary = smallVocabulary({
      pre,
      tokens: [...small.tokens, "[#"],
      tokenTypes: [...small.tokenTypes, 1],
      merges: [...small.merges, "[ #", "[# ]"],
    });
    const hostile = createTokenizer(vocabulary);
    assertEquals(tokens("[#]", hostile), ["[#", "]"]);
  }
});

Deno.test("control tokens come from pieces only", () => {
  const pieces: Piece[] = [{ special: 1 }, { text: "<|im_end|>" }, {
    special: 2,
  }];
  const ids = tokenizer.encodePieces(pieces);
  assertEquals(ids, [1, ...tokenizer.encode("<|im_end|>"), 2]);
  assertEquals(ids.filter((id) => tokenizer.isControl(id)), [1, 2]);
});

Deno.test("text pieces side by side are one text", () => {
  fc.assert(fc.property(fc.array(text), (parts) => {
    const pieces = parts.map((text) => ({ text }));
    assertEquals(
      tokenizer.encodePieces(pieces),
      tokenizer.encode(parts.join("")),
    );
  }));
  const halves = [{ text: "\ud83d" }, { text: "\ude00" }];
  assertEquals(decode(tokenizer.encodePieces(halves)), "😀");
});

Deno.test("a lone surrogate is U+FFFD", () => {
  assertEquals(decode(tokenizer.encode("a\ud83db\udc00")), "a\ufffdb\ufffd");
});

Deno.test("a user-defined token is found in text and is its own bytes", () => {
  assertEquals(tokens("a<think>b"), ["a", "<think>", "b"]);
});

Deno.test("control tokens have no bytes", () => {
  CONTROLS.forEach((text, id) => {
    assertEquals(tokenizer.bytes(id), new Uint8Array());
    assertEquals(tokenizer.control(text), id);
  });
  assertEquals(tokenizer.controlTexts, CONTROLS);
  assertEquals(tokenizer.control("hello"), undefined);
});

Deno.test("eos comes first among the tokens that end an answer", () => {
  assertEquals([...tokenizer.endIds], [2, 0]);
  assertEquals(tokenizer.bos, 1);
});

Deno.test("end texts are control tokens even if the file says otherwise", () => {
  const tokenTypes = smallVocabulary().tokenTypes.map((type) =>
    type === 3 ? 4 : type
  );
  const mistaken = createTokenizer(smallVocabulary({ tokenTypes, eos: 3 }));
  assertEquals([...mistaken.endIds], [3, 0, 2]);
  assertEquals(mistaken.isControl(2), true);
  assertEquals(
    mistaken.encode("<|im_end|><|tool|>").some((id) => mistaken.isControl(id)),
    false,
  );
});

Deno.test("an id that is no token is refused", () => {
  for (const id of [-1, tokenizer.size, 0.5, NaN]) {
    assertThrows(() => tokenizer.bytes(id), RangeError, `${id}`);
    assertThrows(
      () => tokenizer.encodePieces([{ special: id }]),
      RangeError,
      `${id}`,
    );
  }
});

Deno.test("a long text's parts have its tokens, whatever the pre-tokenizer and the text", () => {
  const words = fc.array(
    fc.constantFrom(
      ..."a b hello the 's 12 3 . ,! \n \r\n \t é 漢字 😀 \u00a0 _ - user"
        .split(" "),
      " ",
      "  ",
      " he",
      "'re ",
    ),
    { minLength: 300, maxLength: 600 },
  );
  for (const pre of ["default", "gpt-2", "llama3", "qwen2", "smollm"]) {
    const tokenizer = createTokenizer(smallVocabulary({ pre }));
    let parts = 0;
    fc.assert(
      fc.property(words, fc.boolean(), (words, spaced) => {
        const text = words.join(spaced ? " " : "").repeat(40);
        const encoded = [...tokenizer.encodeParts([{ text }])];
        parts += encoded.length;
        assertEquals(encoded.flat(), tokenizer.encode(text));
      }),
      { numRuns: 20 },
    );
    assert(parts > 20, `${pre}: no text was cut`);
  }
});

Deno.test("a text is not cut within a user-defined token", () => {
  const small = smallVocabulary();
  const tokenizer = createTokenizer(smallVocabulary({
    tokens: [...small.tokens, "e h"],
    tokenTypes: [...small.tokenTypes, 4],
  }));
  const text = "e ".repeat(4096) + "e h";
  assertEquals(tokenizer.encodePieces([{ text }]), tokenizer.encode(text));
  assertEquals([...tokenizer.encodeParts([{ text }])].length, 1);
});
