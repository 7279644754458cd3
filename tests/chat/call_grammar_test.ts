/** What grammars of calls let through is read as calls, and fits. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Ajv } from "ajv";
import { type CallableTool, callGrammar } from "../../lib/chat/call_grammar.ts";
import { ToolCallReader } from "../../lib/chat/tool_calls.ts";
import { Grammars, grammarVocabulary } from "../../lib/grammar/mod.ts";
import { SchemaError } from "../../lib/grammar/schema_error.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { walk } from "../grammar/walk.ts";
import { TOKENIZER } from "./scripted_decoder.ts";

const TOOLS: CallableTool[] = [
  {
    name: "weather",
    parameters: {
      type: "object",
      properties: {
        city: { $ref: "#/$defs/city" },
        days: { type: "integer", minimum: 1, maximum: 14 },
      },
      required: ["city"],
      $defs: { city: { type: "string", maxLength: 4 } },
    },
    strict: true,
    path: ["tools", 0],
  },
  { name: "clock", strict: false, path: ["tools", 1] },
];

/** Texts of a grammar by a model that knows nothing, as they are read. */
async function texts(grammar: string, count: number) {
  const grammars = new Grammars(() =>
    grammarVocabulary(TOKENIZER, TOKENIZER.size)
  );
  try {
    const read = [];
    for (let seed = 1; read.length < count; seed++) {
      const { signal } = new AbortController();
      const constraint = await grammars.open(grammar, signal);
      const random = createRandom(seed);
      const text = await walk(constraint, TOKENIZER, { random, most: 400 });
      constraint.release();
      if (text === null) continue;
      const reader = new ToolCallReader();
      const parts = [...reader.push(text), ...reader.end()];
      const calls = parts.flatMap((part) => "call" in part ? [part.call] : []);
      read.push({ text, calls, others: parts.length - calls.length });
    }
    return read;
  } finally {
    grammars.close();
  }
}

for (const many of [false, true]) {
  Deno.test(`calls that must come do, with arguments that fit, and nothing else (many: ${many})`, async () => {
    const ajv = new Ajv();
    const [weather] = TOOLS;
    const fits = ajv.compile(weather!.parameters!);
    const names = new Set<string>();
    let most = 0;
    for (
      const { text, calls, others } of await texts(
        callGrammar(TOOLS, { otherwise: "nothing", many }),
        30,
      )
    ) {
      assert(others === 0 && calls.length > 0, text);
      most = Math.max(most, calls.length);
      for (const { name, arguments: args } of calls) {
        names.add(name);
        if (name === "weather") assert(fits(args), text);
        else assertEquals(args, {});
      }
    }
    assertEquals([...names].sort(), ["clock", "weather"]);
    assertEquals(most > 1, many);
  });
}

Deno.test("around calls that may come any text may", async () => {
  const [, clock] = TOOLS;
  const grammar = callGrammar([clock!], { otherwise: "text", many: true });
  const grammars = new Grammars(() =>
    grammarVocabulary(TOKENIZER, TOKENIZER.size)
  );
  const { signal } = new AbortController();
  const call = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>';
  try {
    for (
      const [text, taken] of [
        ["Hi <tool> é", "Hi <tool> é"],
        [`Hm.\n${call}\n${call} then`, `Hm.\n${call}\n${call} then`],
        ['a<tool_call>\n{"name": "bell"', 'a<tool_call>\n{"name": "'],
        ["a<tool_call>{", "a<tool_call>"],
      ] as const
    ) {
      const constraint = await grammars.open(grammar, signal);
      const ids: number[] = [];
      for (const id of TOKENIZER.encode(text)) {
        const mask = await constraint.mask();
        if ((mask[id >> 5]! >> (id & 31) & 1) === 0) break;
        constraint.accept(id);
        ids.push(...TOKENIZER.bytes(id));
      }
      constraint.release();
      assertEquals(new TextDecoder().decode(Uint8Array.from(ids)), taken);
    }
  } finally {
    grammars.close();
  }
});

Deno.test("a strict tool's schema must have a grammar; another's binds where it has one", () => {
  const odd = { type: "object", properties: { a: { not: {} } } };
  const tool = { name: "f", parameters: odd, path: ["tools", 0, "p"] };
  const options = { otherwise: "nothing", many: false } as const;
  const error = assertThrows(
    () => callGrammar([{ ...tool, strict: true }], options),
    SchemaError,
  ) as SchemaError;
  assertEquals(error.path, ["tools", 0, "p", "properties", "a", "not"]);
  const free = callGrammar([{ ...tool, strict: false }], options);
  const any = { ...tool, parameters: { type: "object" }, strict: false };
  assertEquals(free, callGrammar([any], options));
});

Deno.test("what grammars of tools cost to make is bounded, though nothing be left of them", () => {
  const patterns = Array.from({ length: 3 }, (_, i) => [
    `p${i}`,
    { type: "string", pattern: "[^a]".repeat(128) },
  ]);
  const parameters = {
    type: "object",
    properties: { ...Object.fromEntries(patterns), z: { not: {} } },
  };
  const tools = Array.from({ length: 8 }, (_, i) => ({
    name: `f${i}`,
    parameters,
    strict: false,
    path: ["tools", i],
  }));
  const error = assertThrows(
    () => callGrammar(tools, { otherwise: "nothing", many: true }),
    SchemaError,
    "smaller",
  ) as SchemaError;
  assertEquals(error.path, ["tools"]);
});
