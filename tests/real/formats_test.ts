/** Formats, with the real model and its vocabulary. */
import { assert, assertEquals } from "@std/assert";
import { Ajv } from "ajv";
import { callGrammar } from "../../lib/chat/call_grammar.ts";
import { ToolCallReader } from "../../lib/chat/tool_calls.ts";
import { jsonGrammar } from "../../lib/grammar/json_grammar.ts";
import { readConfig } from "../../lib/config.ts";
import { loadModel } from "../../lib/load_model.ts";
import { realModelPath } from "../real_model.ts";
import { answer, chat } from "../chat/scripted_decoder.ts";

const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 130 },
    hobbies: {
      type: "array",
      items: { enum: ["reading", "chess", "football"] },
      minItems: 1,
      maxItems: 3,
    },
    email: { anyOf: [{ type: "string", format: "email" }, { type: "null" }] },
  },
  required: ["name", "age", "hobbies", "email"],
  additionalProperties: false,
};

Deno.test("the real model answers, and calls, by a schema", async () => {
  await realModelPath();
  const { service, release } = await loadModel(readConfig({
    get: (name) => name === "EVERSTREAM_ENGINE" ? "native" : Deno.env.get(name),
  }));
  try {
    const request = chat(
      ["Describe Ada, who is 36 and likes chess, as JSON."],
      {
        format: { grammar: jsonGrammar(SCHEMA), param: "response_format" },
        maxTokens: 200,
      },
    );
    const { text, finishReason } = await answer(service, request);
    assertEquals(finishReason, "stop", text);
    const ajv = new Ajv({ validateFormats: false });
    assert(
      ajv.validate(SCHEMA, JSON.parse(text)),
      `${text}: ${ajv.errorsText()}`,
    );
    // Its template has no tools: their grammar does without.
    const parameters = {
      type: "object",
      properties: { age: SCHEMA.properties.age },
      required: ["age"],
    };
    const birthday = { name: "birthday", parameters, strict: true, path: [] };
    const grammar = callGrammar([birthday], {
      otherwise: "nothing",
      many: false,
    });
    const call = await answer(service, {
      ...request,
      format: { grammar, param: "tools" },
    });
    const reader = new ToolCallReader();
    const [part, ...others] = [...reader.push(call.text), ...reader.end()];
    assert(part && "call" in part && others.length === 0, call.text);
    assert(ajv.validate(parameters, part.call.arguments), call.text);
  } finally {
    service.close();
    await release();
  }
});
