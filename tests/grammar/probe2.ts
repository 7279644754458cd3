import { GRAMMAR_LIMITS, Grammars } from "../../lib/grammar/grammars.ts";
import { grammarVocabulary } from "../../lib/grammar/vocabulary.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";
import { allows } from "../../lib/sampling/token_mask.ts";
const tokenizer = createTokenizer(smallVocabulary());
const grammars = new Grammars(
  () => grammarVocabulary(tokenizer, tokenizer.size),
  { ...GRAMMAR_LIMITS, most: 2 },
);
const { signal } = new AbortController();
for (
  const g of [
    "[\\U00000020-\\U0000D7FF]",
    "[\\U0000E000-\\U0010FFFF]",
    "[\\U00000080-\\U000007FF]",
    "[\\U00000800-\\U00000FFF]",
    "[\\U00001000-\\U0000D7FF]",
    "[\\U0000E000-\\U0000FFFF]",
    "[\\U00010000-\\U0010FFFF]",
    '[^\\"\\\\\\x00-\\x1F]',
    "[\\U00000080-\\U000007FF\\U00000800-\\U00000FFF]",
  ]
) {
  const seen = new Set<string>();
  const bad = new Set<string>();
  for (let i = 0; i < 60; i++) {
    const c = await grammars.open(`root ::= "<" ${g} ">"`, signal);
    const random = createRandom(i);
    const bytes: number[] = [];
    for (let k = 0; k < 8; k++) {
      const m = await c.mask();
      const al = Array.from({ length: tokenizer.size }, (_, i) => i).filter((
        t,
      ) => allows(m, t));
      const hi = al.filter((t) => tokenizer.bytes(t)[0]! >= 0x80);
      const t = hi.length ? hi[Math.floor(random() * hi.length)]! : al[0]!;
      if (tokenizer.endIds.has(t)) break;
      bytes.push(...tokenizer.bytes(t));
      c.accept(t);
    }
    c.release();
    const h = bytes.map((b) => b.toString(16)).join(" ");
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
      seen.add(h);
    } catch {
      bad.add(h);
    }
  }
  console.log(
    g,
    "ok",
    seen.size,
    "bad",
    bad.size,
    [...bad].slice(0, 6).join(" | "),
  );
}
grammars.close();
