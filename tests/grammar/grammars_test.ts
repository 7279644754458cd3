import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  GRAMMAR_LIMITS,
  GrammarError,
  Grammars,
  grammarVocabulary,
} from "../../lib/grammar/mod.ts";
import { allows } from "../../lib/sampling/mod.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";

const tokenizer = createTokenizer(smallVocabulary());
const vocabulary = () => grammarVocabulary(tokenizer, tokenizer.size + 3);
const { signal } = new AbortController();
const [A] = tokenizer.encode("a");
const [B] = tokenizer.encode("b");

/** Takes for ever to compile: each group is written out 256 times. */
const ENDLESS = `root ::= ${"(".repeat(5)}[a-z]${"){1,256}".repeat(5)}`;

async function withGrammars(
  limits: Partial<typeof GRAMMAR_LIMITS>,
  test: (grammars: Grammars) => Promise<void>,
): Promise<void> {
  const grammars = new Grammars(vocabulary, { ...GRAMMAR_LIMITS, ...limits });
  try {
    await test(grammars);
  } finally {
    grammars.close();
  }
}

Deno.test("a mask has what the grammar lets come next, and nothing else", () =>
  withGrammars({}, async (grammars) => {
    const text = await grammars.open('root ::= "a" "b"?', signal);
    const allowed = async () => {
      const mask = await text.mask();
      return Array.from({ length: mask.length * 32 }, (_, id) => id)
        .filter((id) => allows(mask, id));
    };
    assertEquals(await allowed(), [A]);
    text.accept(A!);
    assertEquals(
      await allowed(),
      [...tokenizer.endIds, B!].sort((a, b) => a - b),
    );
    text.accept(B!);
    assertEquals(await allowed(), [...tokenizer.endIds].sort((a, b) => a - b));
    text.release();
  }));

Deno.test("texts of one grammar share its worker, and do not know each other", () =>
  withGrammars({}, async (grammars) => {
    const grammar = "root ::= [ab]{2,2}";
    const one = await grammars.open(grammar, signal);
    const two = await grammars.open(grammar, signal);
    assertEquals(grammars.counts, { held: 1, used: 1 });
    for (const token of [A!, B!]) one.accept(token);
    assert(allows(await one.mask(), 2) && !allows(await two.mask(), 2));
    one.release();
    assertEquals(grammars.counts, { held: 1, used: 1 });
    two.release();
    assertEquals(grammars.counts, { held: 1, used: 0 });
  }));

Deno.test("the grammar that was used longest ago makes room; those in use are waited for", () =>
  withGrammars({ most: 2 }, async (grammars) => {
    const open = (letter: string, of = signal) =>
      grammars.open(`root ::= "${letter}"`, of);
    (await open("a")).release();
    const b = await open("b");
    const a = await open("a");
    a.release();
    const c = await open("c"); // in place of a
    assertEquals(grammars.counts, { held: 2, used: 2 });
    const gone = AbortSignal.timeout(50);
    await assertRejects(() => open("d", gone), DOMException, "timeout");
    const waiting = open("d");
    b.release();
    (await waiting).release();
    assertEquals(grammars.counts, { held: 2, used: 1 });
    c.release();
  }));

Deno.test("a grammar without end is ended in time, alone, while timers go on", () =>
  withGrammars(
    { times: { ...GRAMMAR_LIMITS.times, compile: 300 } },
    async (grammars) => {
      const other = await grammars.open('root ::= "ab"', signal);
      let ticks = 0;
      const timer = setInterval(() => ticks++, 10);
      const begun = performance.now();
      await assertRejects(
        () => grammars.open(ENDLESS, signal),
        GrammarError,
        "took over 0.3 s to compile",
      );
      clearInterval(timer);
      assert(ticks > (performance.now() - begun) / 40, `${ticks} ticks`);
      assertEquals(grammars.counts, { held: 1, used: 1 });
      other.accept(A!);
      assert(allows(await other.mask(), B!));
      other.release();
    },
  ));

Deno.test("what breaks the module is refused, and the next grammar works", () =>
  withGrammars({}, async (grammars) => {
    const deep = `root ::= ${"(".repeat(20_000)}"a"${")".repeat(20_000)}`;
    for (const grammar of ["root ::= (", deep]) {
      await assertRejects(() => grammars.open(grammar, signal), GrammarError);
    }
    (await grammars.open('root ::= "a"', signal)).release();
  }));

Deno.test("a text that nothing fits fails at once; so does one with a token that cannot come", () =>
  withGrammars({}, async (grammars) => {
    await assertRejects(
      () => grammars.open("root ::= root", signal),
      GrammarError,
    );
    const text = await grammars.open('root ::= "a"', signal);
    text.accept(B!);
    await assertRejects(() => text.mask(), GrammarError);
    text.release();
    assertEquals(grammars.counts.used, 0);
  }));
