import { assertEquals } from "@std/assert";
import { readConfig } from "../../lib/config.ts";
import { planText } from "../../lib/plan/main.ts";
import { parsePlanOptions } from "../../lib/plan/options.ts";
import { planCaches } from "../../lib/plan/plan_caches.ts";
import { wirePlan } from "../../lib/plan/wire.ts";
import { loadedModel } from "./loaded_model.ts";

const NATIVE = {
  EVERSTREAM_ENGINE: "native",
  EVERSTREAM_WINDOW: "252",
  EVERSTREAM_SINKS: "4",
  EVERSTREAM_MEMORY: "30MiB",
};

Deno.test("the loaded model takes what is planned from its file's header", async () => {
  const { caches, formats, path, id } = await loadedModel(NATIVE);
  const { decoder } = formats[0]!;
  const { shape, ...room } = caches;
  assertEquals(shape, { layers: 30, heads: 9, kvHeads: 3, headDim: 64 });
  const request = { ...room, tokens: 4096, streams: decoder.slots };
  const plan = planCaches(shape, request);
  const kept = plan.caches.find((plan) => plan.policy === "sink-window")!;
  assertEquals(kept.bytesPerToken, 45 * 1024);
  assertEquals(kept.bytes, decoder.slotBytes);
  assertEquals(kept.bytesInAll, decoder.cacheBytes);
  assertEquals(kept.fit, decoder.slots);

  const config = readConfig({
    get: (name) => NATIVE[name as keyof typeof NATIVE] ?? Deno.env.get(name),
  });
  // How many layers are lazy is calibrated, which a header does not tell.
  const lazy = `--lazy=${caches.lazyLayers}`;
  const args = [path, "--json", `--streams=${decoder.slots}`, lazy];
  const options = parsePlanOptions(args, config);
  const text = await planText(options, { directory: config.modelsDirectory });
  assertEquals(
    JSON.parse(text),
    wirePlan({ model: path, shape, request, ...plan }),
  );
  assertEquals(id, "smollm2-135m-instruct");
});
