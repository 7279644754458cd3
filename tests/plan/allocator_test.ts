/** A plan says what decoders really take. */
import { assertEquals } from "@std/assert";
import type { Decoder } from "../../lib/decoder/decoder.ts";
import { openDecoder } from "../../lib/decoder/open_decoder.ts";
import { slotLayout } from "../../lib/cache/layout.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";
import { planCaches } from "../../lib/plan/plan_caches.ts";
import { readShape } from "../../lib/plan/read_shape.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import { openRecorded } from "../decoder/open.ts";
import { absentReason } from "../gpu.ts";
import { writeSmallModel } from "../reference/small_model.ts";

const OPTIONS = {
  threads: 1,
  gpu: "high-performance",
  gpuRows: "f32",
} as const;
const ENGINES = ["native", "wasm", "webgpu"] as const;
const ROOMS = [
  { sinks: 4, window: 124, memory: 1 << 20 },
  { sinks: 0, window: 600, memory: 3_000_000 },
];

for (const engine of ENGINES) {
  Deno.test({
    name: `a decoder on ${engine} takes what was planned`,
    ignore: engine === "webgpu" && absentReason !== null,
    async fn() {
      await using model = await writeSmallModel();
      const { path, directory, sha256 } = model;
      const shape = await readShape(path, { directory });
      for (const { memory, ...room } of ROOMS) {
        using file = await openGguf(path);
        const source = { file, sha256, graphs: directory };
        const slots = { memory };
        await using opened = disposable(
          await openDecoder(engine, source, { ...room, slots }, OPTIONS),
        );
        const { decoder } = opened;
        const request = { ...room, memory, tokens: 1, streams: decoder.slots };
        const plan = planCaches(shape, request).caches.find((plan) =>
          plan.policy === "sink-window" && plan.precision === "f32" &&
          plan.engines.includes(engine)
        )!;
        assertEquals(decoder.slots, plan.fit);
        assertEquals(decoder.cacheBytes, plan.bytesInAll);
      }
    },
  });
}

for (const bits of [16, 8, 4] as const) {
  Deno.test(`a decoder with rows of ${bits} bits takes what was planned`, async () => {
    await using model = await writeSmallModel();
    const { path, directory } = model;
    const shape = await readShape(path, { directory });
    const formats = rowFormats(bits);
    for (const { memory, sinks, window } of ROOMS) {
      const plan = planCaches(shape, {
        ...{ sinks, window, memory },
        tokens: 1,
        streams: 3,
      }).caches.find((plan) =>
        plan.policy === "sink-window" && plan.precision === `int${bits}`
      )!;
      const recorded = await openRecorded(NATIVE, model, {
        layout: slotLayout(sinks, window),
        slots: 3,
        rows: { formats },
      });
      await using decoder = recorded.decoder;
      assertEquals(decoder.slotBytes, plan.bytes);
      assertEquals(decoder.cacheBytes, plan.bytesInAll);
      assertEquals(decoder.tokenBytes, plan.bytesPerToken);
    }
  });
}

function disposable(
  decoder: Decoder,
): AsyncDisposable & { decoder: Decoder } {
  return { decoder, [Symbol.asyncDispose]: () => decoder.release() };
}
