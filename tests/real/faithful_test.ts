/**
 * The engines against each other on real text. `wasm` computes in f32 from the same dequantised
 * weights, so it is the reference here; `deno task bench --only kl` compares it, and the others,
 * with an independent one.
 */
import { assert, assertEquals } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { LoadedModel } from "../../lib/load_model.ts";
import goldens from "../text/goldens/smollm2.json" with { type: "json" };
import { absentReason } from "../gpu.ts";
import { divergence, greedy, loadedModel } from "./loaded_model.ts";

const LARGE = { EVERSTREAM_MEMORY: "48MB", EVERSTREAM_WINDOW: "1020" };
const SMALL = { EVERSTREAM_MEMORY: "6MB", EVERSTREAM_WINDOW: "28" };
const text = goldens.excerpt.ids.split(" ").map(Number);

/** Logits of each of the first `count` tokens of the text. */
async function teacherForced(
  model: LoadedModel,
  count: number,
): Promise<Float32Array[]> {
  const { decoder } = model.formats[0]!;
  decoder.open(0, new SinkWindow(4, decoder.room.window));
  const logits: Float32Array[] = [];
  while (logits.length < count) {
    const at = logits.length;
    const tokens = text.slice(at, Math.min(count, at + decoder.limit(0)));
    const [rows] = await decoder.run([{
      slot: 0,
      tokens,
      logits: tokens.length,
    }]);
    for (let t = 0; t < tokens.length; t++) {
      logits.push(
        rows!.subarray(t * decoder.vocabulary, (t + 1) * decoder.vocabulary),
      );
    }
  }
  return logits;
}

async function compare(
  engine: string,
  count: number,
  variables: Record<string, string>,
): Promise<{ kl: number; agreement: number }> {
  const reference = await teacherForced(
    await loadedModel({ ...variables, EVERSTREAM_ENGINE: "wasm" }),
    count,
  );
  const other = await teacherForced(
    await loadedModel({ ...variables, EVERSTREAM_ENGINE: engine }),
    count,
  );
  const kl = reference.map((p, i) => divergence(p, other[i]!));
  const same =
    reference.filter((p, i) => greedy(p) === greedy(other[i]!)).length;
  return { kl: kl.reduce((a, b) => a + b) / count, agreement: same / count };
}

Deno.test({
  name:
    "native is as faithful to the weights as llama.cpp: mean KL ≤ 0.004 over 512 positions",
  sanitizeOps: false, // sessions are kept for the other tests
  sanitizeResources: false,
  async fn() {
    const { kl, agreement } = await compare("native", 512, LARGE);
    console.log(`native: KL ${kl.toFixed(5)}, top-1 agreement ${agreement}`);
    assert(kl > 0 && kl <= 0.004, `KL is ${kl}`);
    assert(agreement >= 0.93, `top-1 agreement is ${agreement}`);
  },
});

Deno.test({
  name:
    "webgpu is more faithful yet past a small window: mean KL ≤ 0.001 over 128 positions",
  ignore: absentReason !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const { kl, agreement } = await compare("webgpu", 128, SMALL);
    console.log(`webgpu: KL ${kl.toFixed(5)}, top-1 agreement ${agreement}`);
    assert(kl > 0 && kl <= 0.001, `KL is ${kl}`);
    assert(agreement >= 0.95, `top-1 agreement is ${agreement}`);
  },
});

Deno.test({
  name: "webgpu and native say the same for 64 tokens past a small window",
  ignore: absentReason !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    // The likeliest token leads by at least 0.4 nats all along.
    const question = "Write the numbers from 1 to 60, separated by commas.";
    const [expected, actual] = [
      await answer("native", question),
      await answer("webgpu", question),
    ];
    assert(expected.evicted >= 64);
    assertEquals(actual, expected);
  },
});

/** What an engine answers at temperature 0, and how many tokens have left its window by then. */
async function answer(
  engine: string,
  question: string,
): Promise<{ text: string; evicted: number }> {
  const { service } = await loadedModel({
    ...SMALL,
    EVERSTREAM_ENGINE: engine,
  });
  const events = service.generate({
    client: { owner: "", id: "" },
    messages: [
      { role: "system", content: "Answer in English." },
      { role: "user", content: question },
    ],
    sampling: { temperature: 0 },
    maxTokens: 66,
    stop: [],
  });
  let text = "";
  let evicted = 0;
  for await (const event of events) {
    if (event.type === "text") text += event.text;
    if (event.type === "end") evicted = event.usage.cache.evicted;
  }
  return { text, evicted };
}
