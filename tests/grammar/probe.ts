import { GRAMMAR_LIMITS, Grammars } from "../../lib/grammar/grammars.ts";
import { jsonGrammar } from "../../lib/grammar/json_grammar.ts";
import { grammarVocabulary } from "../../lib/grammar/vocabulary.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";
import { walk } from "./walk.ts";
const tokenizer = createTokenizer(smallVocabulary());
const grammars = new Grammars(
  () => grammarVocabulary(tokenizer, tokenizer.size),
  { ...GRAMMAR_LIMITS, most: 2 },
);
const { signal } = new AbortController();
const g = Deno.args[0]!.startsWith("root")
  ? Deno.args[0]!
  : jsonGrammar(JSON.parse(Deno.args[0]!));
console.log(g);
for (let i = 0; i < Number(Deno.args[1] ?? 5); i++) {
  try {
    const c = await grammars.open(g, signal);
    const t = await walk(c, tokenizer, { random: createRandom(i) });
    console.log(JSON.stringify(t));
    c.release();
    try {
      if (t !== null) JSON.parse(t);
    } catch (e) {
      console.log(i, String(e));
    }
  } catch (e) {
    console.log(String(e));
  }
}
grammars.close();
