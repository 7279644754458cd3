import { assert } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Engine } from "../../lib/engine/engine.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import { WASM } from "../../lib/engine/wasm.ts";
import { DecoderReference } from "../reference/decoder_reference.ts";
import {
  randomTokens,
  type SmallModelOptions,
  writeSmallModel,
} from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import {
  appendAll,
  gpuEngine,
  hostEngine,
  openDecoder,
  rmsDifference,
  type TestedEngine,
} from "./open.ts";

const POLICY = new SinkWindow(4, 13);
const LAYOUT = { sinkRows: 4, blocks: [13] };

const QUANTISED: Record<string, Partial<SmallModelOptions>> = {
  "Q4_1, tied Q8_0 head": {
    tied: true,
    types: {
      ...all("Q4_1"),
      embedding: "Q8_0",
    },
  },
  "Q4_0, F16 head": {
    types: { ...all("Q4_0"), head: "F16", embedding: "BF16" },
  },
  "Q4_K and Q6_K mixed, Q6_K head": {
    hidden: 256,
    headDim: 64,
    feedForward: 256,
    types: {
      ...all("Q4_K"),
      value: "Q6_K",
      down: "Q6_K",
      head: "Q6_K",
      embedding: "Q4_K",
    },
  },
  "Q5_K, tied Q5_K head": {
    hidden: 256,
    headDim: 64,
    feedForward: 256,
    tied: true,
    types: { ...all("Q5_K"), embedding: "Q5_K" },
  },
  "Q6_K everywhere": {
    hidden: 256,
    headDim: 64,
    feedForward: 256,
    types: { ...all("Q6_K"), head: "Q6_K", embedding: "Q6_K" },
  },
  "Q8_0 query, F32 key, Q4_1 value, Q4_1 head": {
    types: {
      query: "Q8_0",
      value: "Q4_1",
      gate: "Q8_0",
      up: "Q4_1",
      head: "Q4_1",
    },
  },
};

function all(
  type: "Q4_0" | "Q4_1" | "Q4_K" | "Q5_K" | "Q6_K",
): SmallModelOptions["types"] {
  return {
    query: type,
    key: type,
    value: type,
    attention: type,
    gate: type,
    up: type,
    down: type,
  };
}

/**
 * Adds the tests of one engine. `tolerance` is the largest rms error of logits, relative to the
 * logits' rms.
 */
function quantisedTests(
  name: string,
  engine: TestedEngine,
  { tolerance, ignore = false }: { tolerance: number; ignore?: boolean },
): void {
  for (const [types, changes] of Object.entries(QUANTISED)) {
    const test =
      `${name} decoder keeps to the reference of the same weights: ${types}`;
    Deno.test({ name: test, ignore }, async () => {
      await using model = await writeSmallModel(changes);
      await using decoder = await openDecoder(engine, model, {
        layout: LAYOUT,
      });
      const tokens = randomTokens(60);
      const expected = (await DecoderReference.read(model.path)).start(POLICY)
        .appendAll(tokens);
      const rms = rmsDifference(
        expected,
        expected.map((row) => new Float32Array(row.length)),
      );
      assert(
        rms > 0.5 && rms < 20,
        `the model is degenerate: its logits' rms is ${rms}`,
      );
      for (const size of [1, 16]) {
        decoder.open(0, POLICY);
        const actual = await appendAll(decoder, tokens, { size });
        const error = rmsDifference(actual, expected) / rms;
        if (Deno.env.has("EVERSTREAM_SHOW_ERRORS")) {
          console.log(`${name}, ${types}: ${error}`);
        }
        assert(
          error <= tolerance,
          `off by ${error} of the logits' rms, at most ${tolerance}`,
        );
      }
    });
  }
}

quantisedTests("native", hostEngine(NATIVE), { tolerance: 0.1 });
quantisedTests("wasm", hostEngine(WASM), { tolerance: 1e-4 });
// The blocks' arithmetic without the rounding of activations.
const EXACT: Engine = {
  ...NATIVE,
  linear: { kind: "blocks", accuracyLevel: 0 },
};
quantisedTests("native, f32 activations,", hostEngine(EXACT), {
  tolerance: 5e-5,
});
// Small matrices with offsets are put on a finer grid there, if that moves their weights by less than 0.0035
quantisedTests("webgpu", gpuEngine("f32"), {
  tolerance: 0.15,
  ignore: absentReason !== null,
});
