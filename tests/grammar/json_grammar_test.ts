import { assert, assertEquals, assertThrows } from "@std/assert";
import { Ajv } from "ajv";
import fc from "fast-check";
import { GRAMMAR_LIMITS, Grammars } from "../../lib/grammar/grammars.ts";
import { jsonGrammar } from "../../lib/grammar/json_grammar.ts";
import { SchemaError } from "../../lib/grammar/schema_error.ts";
import { grammarVocabulary } from "../../lib/grammar/vocabulary.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { smallVocabulary } from "../text/small_vocabulary.ts";
import { schemas } from "./json_schemas.ts";
import { walk } from "./walk.ts";

const tokenizer = createTokenizer(smallVocabulary());
const vocabulary = () => grammarVocabulary(tokenizer, tokenizer.size);
const { signal } = new AbortController();

/** The grammar, `null` if there is a reason not to have one. */
function grammarOf(schema: unknown): string | null {
  try {
    return jsonGrammar(schema);
  } catch (error) {
    assert(error instanceof SchemaError, String(error));
    return null;
  }
}

Deno.test("what a schema's grammar lets end validates against the schema", async () => {
  const ajv = new Ajv({
    strict: false,
    validateFormats: false,
    unicodeRegExp: true,
  });
  const grammars = new Grammars(vocabulary, { ...GRAMMAR_LIMITS, most: 2 });
  let ended = 0;
  const check = async (schema: unknown, seed: number) => {
    const grammar = grammarOf(schema);
    if (grammar === null) return;
    const validate = ajv.compile(structuredClone(schema) as object);
    const random = createRandom(seed);
    for (let texts = 0; texts < 3; texts++) {
      const constraint = await grammars.open(grammar, signal);
      try {
        const text = await walk(constraint, tokenizer, { random });
        if (text === null) continue;
        ended++;
        const valid = validate(JSON.parse(text));
        assert(valid, `${text}: ${ajv.errorsText(validate.errors)}`);
      } finally {
        constraint.release();
      }
    }
  };
  try {
    await fc.assert(
      fc.asyncProperty(schemas, fc.nat(), check),
      {
        numRuns: Number(Deno.env.get("RUNS") ?? 60),
        interruptAfterTimeLimit: 60000,
      },
    );
  } finally {
    grammars.close();
  }
  console.log({ ended });
  assert(ended > 60, `${ended}`);
});
