/**
 * The engines against each other on real text. `wasm` computes in f32 from the same dequantised
 * weights, so it is the reference here; `deno task bench --only kl` compares it, and the others,
 * with an independent one.
 */
import { assert, assertEquals } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { LoadedModel } from "../../lib/load_model.ts";
import goldens from "../text/goldens/smollm2.json" with { type: "json" };
import { divergence, greedy, loadedModel } from "./loaded_model.ts";

const VARIABLES = { EVERSTREAM_MEMORY: "48MB", EVERSTREAM_WINDOW: "1020" };
const text = goldens.excerpt.ids.split(" ").map(Number);

/** Logits of each of the first `count` tokens of the text. */
async function teacherForced(
  model: LoadedModel,
  count: number,
): Promise<Float32Array[]> {
  const { decoder } = model;
  decoder.open(0, new SinkWindow(4, 1020));
  const logits: Float32Array[] = [];
  for (let at = 0; at < count; at += decoder.chunk) {
    const tokens = text.slice(at, Math.min(count, at + decoder.chunk));
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
): Promise<{ kl: number; agreement: number }> {
  const reference = await teacherForced(
    await loadedModel({ ...VARIABLES, EVERSTREAM_ENGINE: "wasm" }),
    count,
  );
  const other = await teacherForced(
    await loadedModel({ ...VARIABLES, EVERSTREAM_ENGINE: engine }),
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
    const { kl, agreement } = await compare("native", 512);
    console.log(`native: KL ${kl.toFixed(5)}, top-1 agreement ${agreement}`);
    assert(kl > 0 && kl <= 0.004, `KL is ${kl}`);
    assert(agreement >= 0.93, `top-1 agreement is ${agreement}`);
  },
});

const adapter = await navigator.gpu?.requestAdapter() ?? null;
const skipGpu = !adapter && Deno.env.get("EVERSTREAM_REQUIRE_GPU") !== "1";
if (skipGpu) {
  console.log(
    "webgpu tests on the real model are skipped: there is no GPU adapter",
  );
}

Deno.test({
  name:
    "webgpu is as faithful: mean KL ≤ 0.004 over 32 positions, and the same greedy answer",
  ignore: skipGpu,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const { kl } = await compare("webgpu", 32);
    console.log(`webgpu: KL ${kl.toFixed(5)}`);
    assert(kl > 0 && kl <= 0.004, `KL is ${kl}`);
    const answers: string[] = [];
    for (const EVERSTREAM_ENGINE of ["native", "webgpu"]) {
      const { service } = await loadedModel({
        ...VARIABLES,
        EVERSTREAM_ENGINE,
      });
      let answer = "";
      const messages = [
        { role: "system" as const, content: "Answer in English." },
        { role: "user" as const, content: "What is the capital of France?" },
      ];
      for await (
        const event of service.generate({
          client: { owner: "", id: "" },
          messages,
          sampling: { temperature: 0 },
          stop: [],
        })
      ) {
        if (event.type === "text") answer += event.text;
      }
      answers.push(answer);
    }
    assertEquals(answers, Array(2).fill("The capital of France is Paris."));
  },
});
