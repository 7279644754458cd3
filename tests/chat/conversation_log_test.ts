import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ConversationLog } from "../../lib/chat/conversation_log.ts";
import { canonicalText, piecesOf } from "../../lib/chat/template.ts";
import { createTokenizer, type Piece } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";

const tokenizer = createTokenizer(smallVocabulary());
const pause = () => Promise.resolve();

// U+10000's second half is how a control token begins in canonical text.
const texts = fc.array(
  fc.constantFrom(
    "hello",
    " the",
    "h",
    "e",
    "5;",
    "1;",
    "1",
    "\u{10000}",
    "\u{10000}1;",
    "😀",
    "é",
  ),
  { minLength: 1, maxLength: 4 },
).map((parts) => parts.join(""));
const pieces: fc.Arbitrary<Piece[]> = fc.array(
  fc.oneof(
    texts.map((text) => ({ text })),
    fc.constantFrom(1, 2, 4).map((special) => ({ special })),
  ),
  { maxLength: 8 },
);

/** Lengths at which a prompt may be cut without cutting text from text. */
function joints(prompt: string): Set<number> {
  const lengths = new Set<number>();
  let at = 0;
  for (const piece of piecesOf(prompt)) {
    const length = canonicalText([piece]).length;
    if ("special" in piece) lengths.add(at).add(at + length);
    at += length;
  }
  return lengths;
}

Deno.test("conversation log: messages begin at their openers, in prompts alone, until that is taken back", async () => {
  const log = new ConversationLog(tokenizer, new Set([1]));
  const message = (text: string): Piece[] => [
    { special: 1 },
    { text },
    { special: 2 },
  ];
  await log.appendPrompt([...message("a"), ...message("b")], pause);
  log.appendToken(1);
  assertEquals(log.starts, [0, 3]);
  await log.appendPrompt([{ special: 2 }, ...message("c")], pause);
  assertEquals(log.starts, [0, 3, 8]);
  log.rewind({ tokens: 8, length: log.text.length - 7 });
  assertEquals([log.tokens, log.starts], [8, [0, 3]]);
  const unaware = new ConversationLog(tokenizer);
  await unaware.appendPrompt(message("a"), pause);
  assertEquals(unaware.starts, []);
});

Deno.test("conversation log: what is kept and what is appended are the prompt's tokens", async () => {
  let [kept, cut] = [0, 0];
  const cases = fc.tuple(pieces, pieces, pieces, fc.boolean());
  await fc.assert(
    fc.asyncProperty(cases, async ([common, logged, asked, rewindable]) => {
      const log = new ConversationLog(tokenizer);
      const ids = await log.appendPrompt([...common, ...logged], pause);
      assertEquals(ids, tokenizer.encodePieces([...common, ...logged]));
      assertEquals(log.text, canonicalText([...common, ...logged]));
      const whole = { tokens: log.tokens, length: log.text.length };

      const prompt = canonicalText([...common, ...asked]);
      const overlap = log.overlap(prompt, rewindable);
      assertEquals(
        prompt.slice(0, overlap.length),
        log.text.slice(0, overlap.length),
      );
      if (overlap.tokens > 0) {
        kept++;
        if (overlap.length < whole.length) cut++;
        assert(
          overlap.length < prompt.length,
          "nothing of the prompt is left over",
        );
        assert(
          joints(prompt).has(overlap.length),
          `${overlap.length} lies inside text`,
        );
        if (!rewindable) assertEquals(overlap, whole);
      }
      log.rewind(overlap);
      const added = await log.appendPrompt(
        piecesOf(prompt.slice(overlap.length)),
        pause,
      );
      assertEquals(
        [...ids.slice(0, overlap.tokens), ...added],
        tokenizer.encodePieces(piecesOf(prompt)),
      );
      assertEquals([log.text, log.tokens], [
        prompt,
        overlap.tokens + added.length,
      ]);
    }),
    { numRuns: 2000 },
  );
  assert(kept > 300 && cut > 50, `${kept} overlaps, ${cut} of them cut`);
});

Deno.test("conversation log: the longest joint is kept", async () => {
  const log = new ConversationLog(tokenizer);
  const turn = (
    text: string,
  ): Piece[] => [{ special: 1 }, { text }, { special: 2 }];
  await log.appendPrompt([...turn("hello"), ...turn("the")], pause);
  const first = tokenizer.encodePieces(turn("hello")).length;
  const edited = canonicalText([...turn("hello"), ...turn("them")]);
  assertEquals(log.overlap(edited, true).tokens, first + 1); // and the control token behind it
  assertEquals(log.overlap(edited, false).tokens, 0);
  const longer = canonicalText([
    ...turn("hello"),
    ...turn("the"),
    ...turn("us"),
  ]);
  assertEquals(log.overlap(longer, false), {
    tokens: log.tokens,
    length: log.text.length,
  });
  assertEquals(log.overlap(log.text, true).tokens, log.tokens - 1); // a token must be left over
});

Deno.test("conversation log: text that reads like the end of a control token is no joint", async () => {
  for (
    const answer of [
      "\u{10000}1;",
      "\u{10000}1234567890;",
      "\u{10000}123456789012;",
    ]
  ) {
    const log = new ConversationLog(tokenizer);
    await log.appendPrompt([{ special: 1 }, { text: answer }], pause);
    const prompt = canonicalText([{ special: 1 }, { text: `${answer}1;` }]);
    assertEquals(log.overlap(prompt, false).tokens, 0, answer);
    assertEquals(log.overlap(prompt, true).tokens, 1, answer);
  }
});

Deno.test("conversation log: an answer's tokens are its text, however they are split", async () => {
  const log = new ConversationLog(tokenizer);
  const prompt: Piece[] = [{ special: 1 }, { text: "us" }, { special: 2 }];
  const asked = (await log.appendPrompt(prompt, pause)).length;
  const bytes = [...new TextEncoder().encode("hello é😀")];
  const single = bytes.map((byte) =>
    Array.from({ length: tokenizer.size }, (_, id) => id).find((id) => {
      const of = tokenizer.bytes(id);
      return of.length === 1 && of[0] === byte;
    })!
  );
  const shown = single.map((id) => log.appendToken(id)).join("");
  assertEquals(shown, "hello é😀");
  assertEquals(log.tokens, asked + bytes.length);
  const next = canonicalText([
    ...prompt,
    { text: "hello é😀" },
    { special: 2 },
    { text: "us" },
  ]);
  assertEquals(log.overlap(next, false).tokens, log.tokens);
  // Cut inside the answer, only its beginning is a joint.
  const other = canonicalText([...prompt, { text: "hello" }, { special: 2 }]);
  assertEquals(log.overlap(other, true).tokens, asked);
});

Deno.test("conversation log: half a character ends with its answer", async () => {
  const half = tokenizer.encode("é").slice(0, 1);
  for (const end of ["endAnswer", "control", "rewind"] as const) {
    const log = new ConversationLog(tokenizer);
    const first = (await log.appendPrompt(
      [{ special: 1 }, { text: "us" }, { special: 2 }],
      pause,
    )).length;
    const start = { tokens: first, length: log.text.length };
    assertEquals(log.appendToken(half[0]!), "");
    if (end === "endAnswer") assertEquals(log.endAnswer(), "\ufffd");
    if (end === "control") assertEquals(log.appendToken(2), "\ufffd");
    if (end === "rewind") log.rewind(start);
    await log.appendPrompt([{ special: 1 }], pause);
    assertEquals(log.appendToken(tokenizer.encode("h")[0]!), "h", end);
  }
});
