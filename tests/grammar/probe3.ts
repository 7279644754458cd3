import { GRAMMAR_LIMITS, Grammars } from "../../lib/grammar/grammars.ts";
import { jsonGrammar } from "../../lib/grammar/json_grammar.ts";
import { grammarVocabulary } from "../../lib/grammar/vocabulary.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import { allows } from "../../lib/sampling/token_mask.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import { createTokenizer } from "../../lib/text/tokenizer.ts";
import { readGgufVocabulary } from "../../lib/text/gguf_vocabulary.ts";
using file = await openGguf("/tmp/w/models/SmolLM2-135M-Instruct.Q4_1.gguf");
const tok = createTokenizer(readGgufVocabulary(file.metadata));
const t9 = performance.now(); const voc = grammarVocabulary(tok, tok.size); console.log("vocabulary ms", performance.now() - t9);
const grammars = new Grammars(() => voc, { ...GRAMMAR_LIMITS, most: 1 });
const { signal } = new AbortController();
const nest = (d: number): any => d === 0 ? { type: "string" } : { type: "object", properties: { a: nest(d - 1) }, required: ["a"], additionalProperties: false };
const nestA = (d: number): any => d === 0 ? { type: "string" } : { type: "array", items: nestA(d - 1) };
const props = (n: number, required: boolean, k = (i: number) => "p" + i) => ({ type: "object", properties: Object.fromEntries(Array.from({ length: n }, (_, i) => [k(i), { type: "string" }])), additionalProperties: false, required: required ? Array.from({ length: n }, (_, i) => k(i)) : [] });
const cases: Record<string, any> = {
  any: { type: "object" }, person: { type: "object", properties: { name: { type: "string" }, age: { type: "integer", minimum: 0, maximum: 130 }, score: { type: "number", minimum: 0, maximum: 1 }, tags: { type: "array", items: { enum: ["a", "b"] } }, at: { type: "string", format: "date-time" } }, required: ["name", "age", "tags"], additionalProperties: false },
  nest30: nest(30), nestA30: nestA(30), enum1000: { enum: Array.from({ length: 1000 }, (_, i) => "value number " + i) },
  p100: props(100, false), p300: props(300, false), p900: props(900, false), p900r: props(900, true),
  maxLen4096: { type: "string", maxLength: 4096 }, minLen4096: { type: "string", minLength: 4096, maxLength: 4096 }, minItems: { type: "array", items: { type: "number" }, minItems: 4096, maxItems: 4096 },
  pat1: { type: "string", pattern: "^(a+)+$" }, pat2: { type: "string", pattern: "^(a|a)*b{1,256}$" }, pat3: { type: "string", pattern: "^((a{1,100}){1,100}){1,100}$" }, pat5: { type: "string", pattern: "(.*a.*b.*c.*d.*e.*f){30}" }, pat6: { type: "string", pattern: "^((((.{1,256}){1,256}){1,256}){1,256}){1,256}$" }, pat7: { type: "string", pattern: "^((((.?){1,256}){1,256}){1,256}){1,256}$" },
  additional: { type: "object", properties: { abc: { type: "string" }, abd: { type: "number" } }, additionalProperties: { type: "boolean" } },
  items4: { type: "array", maxItems: 4096, items: { type: "array", maxItems: 4096, items: { type: "array", maxItems: 4096, items: { type: "array", maxItems: 4096 } } } },
  anyOf300: { anyOf: Array.from({ length: 300 }, (_, i) => ({ type: "object", properties: { ["k" + i]: { type: "string" } }, required: ["k" + i], additionalProperties: false })) },
  anyOfStrings: { type: "array", items: { anyOf: Array.from({ length: 300 }, () => ({ type: "string", pattern: "^.*x$" })) } },
  refs: { $ref: "#/$defs/d0", $defs: Object.fromEntries(Array.from({ length: 30 }, (_, i) => ["d" + i, i === 29 ? { type: "string" } : { type: "object", properties: { a: { $ref: "#/$defs/d" + (i + 1) } } }])) },
  num: { type: "number", minimum: -12345.678, exclusiveMaximum: 987654.321 },
};
const only = Deno.args;
for (const [k, s] of Object.entries(cases)) {
  if (only.length && !only.includes(k)) continue;
  let g = ""; const t0 = performance.now();
  try { g = jsonGrammar(s); } catch (e) { console.log(k, String(e)); continue; }
  const t1 = performance.now();
  let c; try { c = await grammars.open(g, signal); } catch (e) { console.log(k, "convert", (t1 - t0).toFixed(1), "chars", g.length, "open", (performance.now() - t1).toFixed(0), String(e)); continue; }
  const t2 = performance.now(); const random = createRandom(1); let worst = 0, sum = 0, n = 0, end = "", text = "";
  try {
    while (n < 300 && performance.now() - t2 < 6000) {
      const a = performance.now(); const m = await c.mask(); const d = performance.now() - a; if (n > 0) { worst = Math.max(worst, d); sum += d; } n++;
      const al: number[] = []; for (let i = 0; i < tok.size; i++) if (allows(m, i)) al.push(i);
      if (al.some((t) => tok.endIds.has(t)) && random() < .2) { end = "END"; break; }
      const o = al.filter((t) => !tok.endIds.has(t)); if (!o.length) { end = "END"; break; }
      const t = o[Math.floor(random() * o.length)]!; text += new TextDecoder().decode(tok.bytes(t)); c.accept(t);
    }
  } catch (e) { end = String(e); }
  c.release();
  console.log(k, "convert", (t1 - t0).toFixed(1), "chars", g.length, "open", (t2 - t1).toFixed(0), "worst", worst.toFixed(2), "mean", (sum / n).toFixed(2), n, end, JSON.stringify(text.slice(0, 50)));
}
grammars.close();
