/** Token ids of the real model's vocabulary against llama.cpp's (`goldens/make_goldens.py`). */
import { assert, assertEquals } from "@std/assert";
import goldens from "./goldens/smollm2.json" with { type: "json" };
import type { ChatMessage } from "../../lib/chat/chat_model.ts";
import { createChatTemplate } from "../../lib/chat/template.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import { readGgufVocabulary } from "../../lib/text/gguf_vocabulary.ts";
import { createTokenizer, type Tokenizer } from "../../lib/text/tokenizer.ts";
import type { Vocabulary } from "../../lib/text/vocabulary.ts";
import { realModelPath } from "../real_model.ts";

let vocabulary: Vocabulary | undefined;

async function loadTokenizer(pre?: string): Promise<Tokenizer> {
  if (!vocabulary) {
    using file = await openGguf(await realModelPath());
    vocabulary = readGgufVocabulary(file.metadata);
  }
  return createTokenizer(
    pre === undefined ? vocabulary : { ...vocabulary, pre },
  );
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Count and SHA-256 of the ids as little-endian u32. */
async function digest(
  ids: number[],
): Promise<{ count: number; sha256: string }> {
  const view = new DataView(new ArrayBuffer(ids.length * 4));
  ids.forEach((id, i) => view.setUint32(i * 4, id, true));
  return {
    count: ids.length,
    sha256: await sha256(new Uint8Array(view.buffer)),
  };
}

Deno.test("SmolLM2's ids equal llama.cpp's on text that tokenizers get wrong", async () => {
  const tokenizer = await loadTokenizer();
  for (const [name, { text, ids }] of Object.entries(goldens.cases)) {
    assertEquals(tokenizer.encode(text).join(" "), ids, name);
  }
});

for (const [pre, cases] of Object.entries(goldens.pre)) {
  Deno.test(`the pre-tokenizer ${pre} cuts as llama.cpp's`, async () => {
    const tokenizer = await loadTokenizer(pre);
    const texts = new Map(Object.entries(goldens.cases));
    for (const [name, ids] of Object.entries(cases)) {
      assertEquals(
        tokenizer.encode(texts.get(name)?.text ?? "").join(" "),
        ids,
        name,
      );
    }
  });
}

Deno.test("SmolLM2's ids equal llama.cpp's on an excerpt of a book", async () => {
  const tokenizer = await loadTokenizer();
  const { text, ids } = goldens.excerpt;
  assertEquals(tokenizer.encode(text).join(" "), ids);
});

const book = Deno.env.get("EVERSTREAM_TEXT");
Deno.test({
  name: "SmolLM2's ids equal llama.cpp's on the whole book" +
    (book ? "" : " (skipped: EVERSTREAM_TEXT names no file)"),
  ignore: !book,
  fn: async () => {
    const text = await Deno.readTextFile(book ?? "");
    const { characters, ...expected } = goldens.book;
    assertEquals(
      [...text].length,
      characters,
      `${book} is not the book of the goldens`,
    );
    assertEquals(await digest((await loadTokenizer()).encode(text)), expected);
  },
});

for (
  const [name, { unit, times, ...expected }] of Object.entries(goldens.long)
) {
  Deno.test(`a single word of 100 KB is no slow case: ${name}`, async () => {
    const tokenizer = await loadTokenizer();
    const begin = performance.now();
    const ids = tokenizer.encode(unit.repeat(times));
    const milliseconds = performance.now() - begin;
    assertEquals(await digest(ids), expected);
    // Half a second when alone; in quadratic time it would be minutes.
    assert(milliseconds < 15_000, `took ${milliseconds} ms`);
  });
}

Deno.test("SmolLM2's tokens have the bytes that llama.cpp gives them", async () => {
  const tokenizer = await loadTokenizer();
  const tokens = Array.from(
    { length: tokenizer.size },
    (_, id) => tokenizer.bytes(id),
  );
  const parts = tokens.map((bytes) => {
    const part = new Uint8Array(4 + bytes.length);
    new DataView(part.buffer).setUint32(0, bytes.length, true);
    part.set(bytes, 4);
    return part;
  });
  const all = new Uint8Array(await new Blob(parts).arrayBuffer());
  assertEquals(
    { count: tokens.length, sha256: await sha256(all) },
    goldens.bytes,
  );
});

Deno.test("SmolLM2's tokens that end an answer", async () => {
  const tokenizer = await loadTokenizer();
  assertEquals([...tokenizer.endIds], [2, 0]);
  assertEquals(tokenizer.control("<|im_start|>"), 1);
  assertEquals(tokenizer.controlTexts.length, 17);
});

Deno.test("SmolLM2 has no tokens for some bytes, which are left out as in llama.cpp", async () => {
  const tokenizer = await loadTokenizer();
  assertEquals(tokenizer.encode("\x04\x06\x13\x14\x16\x1d"), []);
});

Deno.test("SmolLM2's chat template gives the ids that Jinja and llama.cpp give", async () => {
  using file = await openGguf(await realModelPath());
  const tokenizer = await loadTokenizer();
  const template = createChatTemplate(
    file.metadata.string("tokenizer.chat_template"),
    tokenizer,
  );
  for (const { messages, ids } of goldens.chats) {
    const pieces = template.render(messages as ChatMessage[], {
      addGenerationPrompt: true,
    });
    assertEquals(tokenizer.encodePieces(pieces).join(" "), ids);
  }
  assertEquals(template.renderSystemBlock([{ role: "user", content: "Hi" }]), [
    { special: 1 },
    {
      text:
        "system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face",
    },
    { special: 2 },
    { text: "\n" },
  ]);
});
