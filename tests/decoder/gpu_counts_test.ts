import { assert, assertEquals } from "@std/assert";
import { DispatchCounter } from "../../bench/dispatch_counter.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { createSampler } from "../../lib/sampling/mod.ts";
import {
  randomTokens,
  type SmallModelOptions,
  writeSmallModel,
} from "../reference/small_model.ts";
import { absentReason } from "../gpu.ts";
import { openGpuFixture } from "./gpu_fixture.ts";
import { appendAll } from "./open.ts";

const POLICY = new SinkWindow(4, 13);
const MATRICES = [
  "query",
  "key",
  "value",
  "attention",
  "gate",
  "up",
  "down",
] as const;
const TYPES: SmallModelOptions["types"] = {
  ...Object.fromEntries(MATRICES.map((name) => [name, "Q4_1"])),
  embedding: "Q8_0",
};

/** Dispatches of one step by shader, and bytes read back. */
async function costOf(
  element: "f32" | "f16",
  { layers, streams }: { layers: number; streams: number },
): Promise<
  { dispatches: ReadonlyMap<string, number>; mapped: number; all: number }
> {
  using counter = new DispatchCounter();
  await using model = await writeSmallModel({
    layers,
    tied: true,
    types: TYPES,
  });
  await using fixture = await openGpuFixture(model, { slots: 4, element });
  const { decoder } = fixture;
  const chunks = Array.from({ length: streams }, (_, slot) => ({
    slot,
    tokens: [7],
    sampler: createSampler({ temperature: 0.7 }, decoder.vocabulary),
  }));
  for (const { slot } of chunks) {
    decoder.open(slot, POLICY);
    await appendAll(decoder, randomTokens(20), { size: 9, slot });
  }
  for (let i = 0; i < 3; i++) await decoder.sample(chunks);
  counter.take();
  const results = await decoder.sample(chunks);
  for (const { status } of results) assertEquals(status, "fulfilled");
  const { dispatches, mapped } = counter.take();
  const all = [...dispatches.values()].reduce((sum, count) => sum + count, 0);
  return { dispatches, mapped, all };
}

/** Bytes of a summary. */
const SUMMARY = 2088;

for (const element of ["f32", "f16"] as const) {
  Deno.test({
    name:
      `a token past capacity takes at most 12 dispatches a layer on a GPU, with rows of ${element}`,
    ignore: absentReason !== null,
    async fn() {
      const few = await costOf(element, { layers: 2, streams: 1 });
      const more = await costOf(element, { layers: 6, streams: 1 });
      const layer = (more.all - few.all) / 4;
      if (Deno.env.has("EVERSTREAM_SHOW_ERRORS")) {
        console.log(element, layer, few.all, more.dispatches);
      }
      assert(layer <= 12, `${layer} a layer`);
      const rest = few.all - 2 * layer;
      assert(rest <= 6, `${rest} beside the layers`);
      assertEquals(few.dispatches.get("ring_write"), 1);
      assertEquals(more.dispatches.get("ring_write"), 2); // three layers each
      assertEquals(more.dispatches.get("sample"), 1);
      assertEquals(more.mapped, SUMMARY);
    },
  });
}

Deno.test({
  name:
    "several streams take as many dispatches as one on a GPU, and a summary each",
  ignore: absentReason !== null,
  async fn() {
    const one = await costOf("f32", { layers: 2, streams: 1 });
    const four = await costOf("f32", { layers: 2, streams: 4 });
    assert(four.all <= one.all, `${four.all} instead of ${one.all}`);
    assertEquals(four.mapped, 4 * SUMMARY);
  },
});
