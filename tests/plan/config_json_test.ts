import { assertEquals, assertThrows } from "@std/assert";
import { readConfigJson } from "../../lib/plan/config_json.ts";

const LLAMA_2_7B = {
  model_type: "llama",
  hidden_size: 4096,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};

function read(more: Record<string, unknown> = {}) {
  return readConfigJson(
    "config.json",
    JSON.stringify({ ...LLAMA_2_7B, ...more }),
  );
}

Deno.test("a config.json without KV heads has one for each head", () => {
  assertEquals(read(), { layers: 32, heads: 32, kvHeads: 32, headDim: 128 });
  assertEquals(read({ num_key_value_heads: null }), read());
});

Deno.test("what a config.json says of heads goes before what follows from others", () => {
  const shape = read({ num_key_value_heads: 4, head_dim: 64 });
  assertEquals(shape, { layers: 32, heads: 32, kvHeads: 4, headDim: 64 });
});

Deno.test("layers that are all of full attention are none but that", () => {
  assertEquals(read({ layer_types: ["full_attention"] }), read());
});

const WRONG: Record<string, Record<string, unknown>> = {
  "absurdly many layers": { num_hidden_layers: 1e15 },
  "layers beyond all numbers": { num_hidden_layers: 1e300 },
  "no layers": { num_hidden_layers: 0 },
  "less than no heads": { num_attention_heads: -32 },
  "half a head": { num_attention_heads: 31.5 },
  "text for a number": { hidden_size: "4096" },
  "a number missing": { hidden_size: undefined },
  "heads that do not divide": { num_key_value_heads: 5 },
  "heads of an odd size": { head_dim: 127 },
  "heads of a broken size": { num_attention_heads: 33 },
  "compressed rows": { kv_lora_rank: 512 },
  "layers of several kinds": {
    layer_types: ["full_attention", "sliding_attention"],
  },
};

for (const [what, more] of Object.entries(WRONG)) {
  Deno.test(`a config.json with ${what} is refused`, () => {
    assertThrows(() => read(more), TypeError, "from config.json");
  });
}

Deno.test("what is no JSON, or no object, is refused", () => {
  assertThrows(() => readConfigJson("x.json", "{"), SyntaxError, "x.json");
  for (const text of ["[]", "null", "7"]) {
    assertThrows(() => readConfigJson("x.json", text), TypeError, "x.json");
  }
  assertThrows(
    () => readConfigJson("x.json", "[".repeat(1 << 20)),
    SyntaxError,
  );
});
