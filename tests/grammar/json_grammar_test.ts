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

/** Keys that Ajv's fast-deep-equal takes for an object's own methods when it compares constants: it throws. */
const TAKEN_FOR_METHODS = /"(valueOf|toString|constructor)":/;

Deno.test("what a schema's grammar lets end validates against the schema", async () => {
  const ajv = new Ajv({
    strict: false,
    validateFormats: false,
    unicodeRegExp: true,
  });
  const grammars = new Grammars(vocabulary, { ...GRAMMAR_LIMITS, most: 2 });
  let ended = 0;
  const check = async (schema: unknown, seed: number) => {
    fc.pre(!TAKEN_FOR_METHODS.test(JSON.stringify(schema)));
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
      { numRuns: 40 },
    );
  } finally {
    grammars.close();
  }
  assert(ended > 40, `only ${ended} texts ended`);
});

function nested(depth: number): unknown {
  let schema: unknown = true;
  for (let i = 0; i < depth; i++) schema = { type: "array", items: schema };
  return schema;
}

const REFUSED: [schema: unknown, path: string, message: RegExp][] = [
  [false, "", /an object or true/],
  [
    { type: "object", properties: { a: 1 } },
    "properties.a",
    /an object or true/,
  ],
  [{ type: "text" }, "type", /one or a list of object/],
  [{ minLength: 1 }, "type", /'minLength' binds nothing without it/],
  [{ type: "array", uniqueItems: true }, "uniqueItems", /left out: no grammar/],
  [
    { type: "integer", pattern: "a" },
    "pattern",
    /binds nothing of type integer/,
  ],
  [{ type: "array", items: { oneOf: [] } }, "items.oneOf", /left out/],
  [{ anyOf: [true], type: "string" }, "type", /left out beside 'anyOf'/],
  [{ anyOf: [] }, "anyOf", /not empty/],
  [{ allOf: [true, true] }, "allOf", /a list of one schema/],
  [{ $ref: "#/$defs/a" }, "$ref", /a pointer into this schema/],
  [{ $ref: "http://127.0.0.1/" }, "$ref", /a pointer into this schema/],
  [{ $ref: "#" }, "$ref", /does not lead back to itself/],
  [{ anyOf: [true, { $ref: "#" }] }, "anyOf.1.$ref", /lead back to itself/],
  [
    { type: "string", enum: ["a", 1] },
    "enum.1",
    /of the schema's type, string/,
  ],
  [{ enum: Array(1001).fill(0) }, "enum", /1 to 1000 values/],
  [{ type: "object", required: ["a"] }, "required.0", /one of 'properties'/],
  [
    { type: "array", minItems: 2, maxItems: 1 },
    "maxItems",
    /at least 'minItems'/,
  ],
  [{ type: "string", maxLength: 1e9 }, "maxLength", /from 0 to 64/],
  [{ type: "number", minimum: 1e99 }, "minimum", /at most 15 digits/],
  [{ type: "integer", minimum: 0.1, maximum: 0.9 }, "", /an integer between/],
  [{ type: "string", pattern: "(" }, "pattern", /Unterminated group|Invalid/],
  [{ type: "string", pattern: "(?=a)" }, "pattern", /a group other than/],
  [{ type: "string", pattern: "(a)\\1" }, "pattern", /an escape/],
  [{ type: "string", pattern: "a".repeat(513) }, "pattern", /512 characters/],
  [
    { type: "string", pattern: "(".repeat(200) + ")".repeat(200) },
    "pattern",
    /8 groups/,
  ],
  [
    { type: "string", pattern: "a", maxLength: 3 },
    "maxLength",
    /beside 'pattern'/,
  ],
  [{ type: "string", format: "uri" }, "format", /one of date, time/],
  [nested(100_000), "items.".repeat(33).slice(0, -1), /at most 32 deep/],
  [
    { const: JSON.parse("[".repeat(5000) + "]".repeat(5000)) },
    "const",
    /32 deep/,
  ],
  [
    {
      type: "object",
      properties: Object.fromEntries(
        Array.from({ length: 1000 }, (_, i) => [i, { type: "null" }]),
      ),
    },
    "",
    /at most 1000 parts/,
  ],
  [
    { enum: Array.from({ length: 900 }, (_, i) => `${i}`.repeat(400)) },
    "",
    /over 262144 characters/,
  ],
  // All of one text, but each is made.
  [
    {
      type: "object",
      properties: Object.fromEntries(
        Array.from({ length: 20 }, (_, i) => [
          `p${i}`,
          { type: "string", pattern: "[^a]".repeat(128) },
        ]),
      ),
    },
    "",
    /over 262144 characters/,
  ],
];

Deno.test("a schema that no grammar is made of is refused, with the place and the reason", () => {
  for (const [schema, path, message] of REFUSED) {
    const error = assertThrows(
      () => jsonGrammar(schema),
      SchemaError,
    ) as SchemaError;
    assertEquals(error.path.join("."), path);
    assert(message.test(error.message), error.message);
  }
});

Deno.test("formats write dates that there are, and addresses", async () => {
  const grammars = new Grammars(vocabulary, { ...GRAMMAR_LIMITS, most: 2 });
  const random = createRandom(7);
  try {
    for (const [format, valid] of Object.entries(VALID)) {
      const grammar = jsonGrammar({ type: "string", format });
      const constraint = await grammars.open(grammar, signal);
      const text = await walk(constraint, tokenizer, { random });
      constraint.release();
      assert(text !== null);
      assert(valid(JSON.parse(text)), `${format}: ${text}`);
    }
  } finally {
    grammars.close();
  }
});

const isDate = (text: string) =>
  new Date(`${text}T00:00:00Z`).toISOString().startsWith(text);

const VALID: Record<string, (text: string) => boolean> = {
  "date": isDate,
  "date-time": (text) => isDate(text.slice(0, 10)) && text[10] === "T",
  "uuid": (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text),
  "ipv4": (text) => new URL(`http://${text}/`).hostname === text,
};
