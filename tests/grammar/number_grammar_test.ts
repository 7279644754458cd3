import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { jsonGrammar } from "../../lib/grammar/json_grammar.ts";
import {
  type Constraint,
  GRAMMAR_LIMITS,
  Grammars,
  grammarVocabulary,
} from "../../lib/grammar/mod.ts";
import { SchemaError } from "../../lib/grammar/schema_error.ts";
import { allows } from "../../lib/sampling/mod.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";

const tokenizer = createTokenizer(smallVocabulary());
const [END] = tokenizer.endIds;

/** Whether a text of bytes is one of the grammar. */
async function accepts(text: Constraint, digits: string): Promise<boolean> {
  for (const token of tokenizer.encode(digits)) {
    if (!allows(await text.mask(), token)) return false;
    text.accept(token);
  }
  return allows(await text.mask(), END!);
}

const bound = fc.oneof(
  fc.integer({ min: -1500, max: 1500 }),
  fc.integer({ min: -99_999, max: 99_999 }).map((n) => n / 100),
);

Deno.test("a number is written if and only if it lies between its bounds", async () => {
  const grammars = new Grammars(
    () => grammarVocabulary(tokenizer, tokenizer.size),
    { ...GRAMMAR_LIMITS, most: 1 },
  );
  const { signal } = new AbortController();
  let written = 0;
  const check = async (
    [a, b]: number[],
    [above, below, integer]: boolean[],
  ) => {
    const [min, max] = [Math.min(a!, b!), Math.max(a!, b!)];
    const schema = {
      type: integer ? "integer" : "number",
      [above ? "exclusiveMinimum" : "minimum"]: min,
      [below ? "exclusiveMaximum" : "maximum"]: max,
    };
    let grammar: string;
    try {
      grammar = jsonGrammar(schema);
    } catch (error) {
      assert(error instanceof SchemaError);
      const [first, last] = [Math.floor(min) + 1, Math.ceil(max) - 1];
      assert(min === max || integer && first > last);
      return;
    }
    const near = [min, max, 0, (min + max) / 2, min - max].flatMap((n) =>
      [0, 1, -1, 0.01, -0.01, 10, -100].map((d) =>
        Math.round((n + d) * 100) / 100
      )
    );
    for (const number of new Set(near)) {
      if (Object.is(number, -0)) continue;
      const fits = (above ? number > min : number >= min) &&
        (below ? number < max : number <= max) &&
        (!integer || Number.isInteger(number));
      const text = await grammars.open(grammar, signal);
      const accepted = await accepts(text, String(number));
      text.release();
      assertEquals(accepted, fits, `${number}`);
      written += Number(fits);
    }
  };
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(bound, bound),
        fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
        check,
      ),
      { numRuns: 25 },
    );
  } finally {
    grammars.close();
  }
  assert(written > 50);
});
