import { assert, assertEquals, assertRejects } from "@std/assert";
import type { KvBits } from "../../lib/cache/cache_format.ts";
import { RequestError, type Usage } from "../../lib/chat/chat_model.ts";
import { readConfig } from "../../lib/config.ts";
import { describeModel, loadModel } from "../../lib/load_model.ts";
import { realModelPath } from "../real_model.ts";

const MIB = 2 ** 20;

function config(variables: Record<string, string>) {
  const all: Record<string, string> = {
    EVERSTREAM_ENGINE: "native",
    EVERSTREAM_WINDOW: "252",
    EVERSTREAM_KV_BITS: "32,8",
    ...variables,
  };
  return readConfig({ get: (name) => all[name] ?? Deno.env.get(name) });
}

Deno.test("rows of 32 and 8 bits are served side by side, each in half of the memory", async () => {
  await realModelPath();
  const model = await loadModel(config({ EVERSTREAM_MEMORY: "48MiB" }));
  try {
    const { service, formats, caches } = model;
    assertEquals(caches.memory, 24 * MIB);
    assertEquals(formats.map(({ format }) => format.kvBits), [32, 8]);
    for (const { decoder } of formats) {
      assertEquals(
        decoder.slots,
        Math.floor(24 * MIB / decoder.slotBytes),
      );
    }
    const [wide, narrow] = formats.map(({ decoder }) => decoder);
    const described = describeModel(model);
    for (const { slots } of [wide!, narrow!]) {
      assert(described.includes(`${slots} slots of 4 sinks + 252`), described);
    }
    const ask = async (kvBits?: KvBits): Promise<[string, Usage | null]> => {
      let text = "";
      let usage: Usage | null = null;
      const content = "What is the capital of France?";
      const events = service.generate({
        client: { owner: "", id: "" },
        messages: [{ role: "user", content }],
        sampling: { temperature: 0 },
        stop: [],
        policy: { kvBits },
      });
      for await (const event of events) {
        if (event.type === "text") text += event.text;
        if (event.type === "end") usage = event.usage;
      }
      return [text, usage];
    };
    const answers = await Promise.all([ask(), ask(8)]);
    for (const [i, [text, usage]] of answers.entries()) {
      assert(text.includes("Paris"), text);
      const { kvBits, bytes, fullBytes, seen } = usage!.cache;
      assertEquals(kvBits, formats[i]!.format.kvBits);
      assertEquals(bytes, formats[i]!.decoder.slotBytes);
      assertEquals(fullBytes, seen * 45 * 1024);
    }
    await assertRejects(() => ask(4), RequestError, "but of 32, 8");
  } finally {
    await model.release();
  }
});

Deno.test("a memory that is too small for one kind of cache says that it is divided", async () => {
  await realModelPath();
  await assertRejects(
    () => loadModel(config({ EVERSTREAM_MEMORY: "20MiB" })),
    RangeError,
    "EVERSTREAM_MEMORY is divided among 2 kinds of caches",
  );
});
