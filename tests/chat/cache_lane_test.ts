import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RequestError, UnavailableError } from "../../lib/chat/chat_model.ts";
import {
  answer,
  chat,
  openService,
  promptOf,
  ScriptedDecoder,
  TOKENIZER,
  until,
} from "./scripted_decoder.ts";

/** A service with caches of 32 bits, which are the standard, and of 8. */
function open(limits: Parameters<typeof openService>[1] = {}) {
  const [wide, narrow] = [100, 30].map((tokenBytes) =>
    new ScriptedDecoder({ slots: 2, tokenBytes })
  ) as [ScriptedDecoder, ScriptedDecoder];
  const service = openService([
    { format: { kvBits: 32, layered: false }, decoder: wide },
    { format: { kvBits: 8, layered: false }, decoder: narrow },
  ], limits);
  return { service, wide, narrow };
}

const NARROW = { policy: { kvBits: 8 } } as const;

Deno.test("a conversation lives where caches are of its bits, and nowhere else", async () => {
  const { service, wide, narrow } = open({ sharedBytes: 2_000 });
  const system = "be kind";
  const first = await answer(service, chat(["hi"], { system }));
  assertEquals([wide.opened, narrow.opened], [[0], []]);
  assertEquals(first.usage.cache.kvBits, 32);
  const of = { system, ...NARROW };
  const request = chat(["hi"], of);
  const second = await answer(service, request);
  assertEquals([wide.opened, narrow.opened], [[0], [0]]);
  assertEquals([second.usage.cache.kvBits, second.usage.cachedTokens], [8, 0]);
  assertEquals([wide.saved, narrow.saved], [[0], [0]]); // each its own beginning
  assertEquals(narrow.text(0), promptOf(request) + "hello");
  const third = await answer(service, chat(["hi", "hello", "and?"], of));
  assert(third.usage.cachedTokens > 0);
  assertEquals(
    [wide.opened, narrow.opened, narrow.restored],
    [[0], [0], []],
  );
});

Deno.test("a full cache is told of in the standard's bytes, whatever a conversation's bits", async () => {
  const { service } = open();
  for (const request of [chat(["hi"]), chat(["hi"], NARROW)]) {
    const { seen, fullBytes } = (await answer(service, request)).usage.cache;
    assertEquals(fullBytes, seen * 100);
  }
});

Deno.test("bits that no cache has are the client's error", async () => {
  const { service } = open();
  const error = await assertRejects(
    () => answer(service, chat(["hi"], { policy: { kvBits: 4 } })),
    RequestError,
    "but of 32, 8",
  ) as RequestError;
  assertEquals(error.param, "everstream.kv_bits");
});

Deno.test("one decoder computes at a time, and they take turns", async () => {
  const { service, wide, narrow } = open();
  const answerTokens = 12;
  let computing = 0;
  const order: string[] = [];
  for (const [name, decoder] of Object.entries({ wide, narrow })) {
    decoder.answer = Array(answerTokens).fill(TOKENIZER.encode("h")[0]!);
    decoder.gate = async () => {
      assertEquals(++computing, 1);
      order.push(name);
      await new Promise((resolve) => setTimeout(resolve, 1));
      computing--;
    };
  }
  const texts = await Promise.all([
    answer(service, chat(["hi"])),
    answer(service, chat(["hi"], NARROW)),
  ]);
  assertEquals(texts.map(({ text }) => text), Array(2).fill("h".repeat(12)));
  const other = { wide: "narrow", narrow: "wide" } as Record<string, string>;
  assertEquals(
    order,
    order.map((_, i) => i % 2 === 0 ? order[0]! : other[order[0]!]!),
  );
  assert(order.length > 2 * answerTokens);
});

Deno.test("a run that fails lets the other decoder go on", async () => {
  const { service, wide } = open();
  wide.failAfter = 0;
  const results = await Promise.allSettled([
    answer(service, chat(["hi"])),
    answer(service, chat(["hi"], NARROW)),
  ]);
  assertEquals(results.map(({ status }) => status), ["rejected", "fulfilled"]);
});

Deno.test("what a model is at is what all its decoders are at", async () => {
  const { service, wide, narrow } = open({
    window: 20,
    sharedBytes: 2_000,
    swapBytes: 2_000,
  });
  const gate = Promise.withResolvers<void>();
  const system = "be kind";
  let evicted = 0;
  for (const text of ["one", "two", "three"]) {
    for (const changes of [{ system }, { system, ...NARROW }]) {
      const { usage } = await answer(service, chat([text], changes));
      evicted += usage.cache.evicted;
    }
  }
  const { cacheBytes, totals, gpuBytes } = await service.state();
  assertEquals([cacheBytes.idle, cacheBytes.free, gpuBytes], [4000, 0, null]);
  assertEquals([totals.swappedOut, totals.swappedIn], [2, 0]);
  assertEquals([totals.beginningsAsked, totals.beginningsFound], [6, 4]);
  assertEquals(totals.evicted, evicted);
  assert(evicted > 0 && cacheBytes.swapped > 0 && cacheBytes.shared > 0);
  for (const decoder of [wide, narrow]) decoder.gate = () => gate.promise;
  const running = [
    chat(["four"]),
    chat(["five"]),
    chat(["six"]),
    chat(["seven"], NARROW),
  ].map((request) => answer(service, request));
  await until(() => service.load.running === 3);
  assertEquals(service.load, { running: 3, waiting: 1 });
  assertEquals((await service.state()).cacheBytes.active, 3000);
  gate.resolve();
  await Promise.all(running);
  assertEquals(service.load, { running: 0, waiting: 0 });
});

Deno.test("bytes on a GPU are those of all decoders", async () => {
  const { service, wide, narrow } = open();
  const bytes = { weights: 5, caches: 3, scratch: 2 };
  for (const decoder of [wide, narrow]) {
    Object.assign(decoder, { gpuBytes: bytes });
  }
  const { gpuBytes } = await service.state();
  assertEquals(gpuBytes, { weights: 10, caches: 6, scratch: 4 });
});

Deno.test("memory outside of slots is divided among the kinds of caches", async () => {
  const shared = async (sharedBytes: number) => {
    const { service } = open({ sharedBytes });
    await answer(service, chat(["hi"], { system: "be kind to the user" }));
    return (await service.state()).cacheBytes.shared;
  };
  const block = await shared(2_000);
  assert(block > 10);
  assertEquals(await shared(2 * block), block);
  assertEquals(await shared(2 * block - 1), 0);
});

Deno.test("each kind of cache has a line of its own", async () => {
  const gate = Promise.withResolvers<void>();
  const { service, wide, narrow } = open({ queue: 1 });
  for (const decoder of [wide, narrow]) decoder.gate = () => gate.promise;
  const running = ["one", "two", "three"].flatMap((text) => [
    answer(service, chat([text])),
    answer(service, chat([text], NARROW)),
  ]);
  await until(() => service.load.waiting === 2);
  const refused = await assertRejects(
    () => answer(service, chat(["four"])),
    UnavailableError,
  ) as UnavailableError;
  assertEquals(refused.code, "queue_full");
  gate.resolve();
  await Promise.all(running);
});

Deno.test("simplayer has caches of its own, and says which layers are lazy", async () => {
  const [plain, layered] = [new ScriptedDecoder(), new ScriptedDecoder()];
  layered.lazy = [3, 7];
  const service = openService([
    { format: { kvBits: 32, layered: false }, decoder: plain },
    { format: { kvBits: 4, layered: true }, decoder: layered },
  ]);
  const policy = { policy: "simplayer", window: 60 } as const;
  const first = await answer(service, chat(["hi"], { policy }));
  const { policy: name, kvBits, capacity, lazyLayers } = first.usage.cache;
  assertEquals([name, kvBits, capacity], ["simplayer", 4, 64]);
  assertEquals(lazyLayers, [3, 7]);
  assertEquals([plain.opened, layered.opened], [[], [0]]);
  const second = await answer(service, chat(["hi"]));
  assertEquals([second.usage.cache.lazyLayers, plain.opened], [[], [0]]);
});

Deno.test("a system block is pinned by simplayer, too", async () => {
  const service = openService(
    [{ format: { kvBits: 8, layered: true }, decoder: new ScriptedDecoder() }],
    {
      sinks: "system",
      policies: {
        standard: "simplayer",
        allowed: ["simplayer"],
        evict: "token",
      },
    },
  );
  const { usage } = await answer(service, chat(["hi"], { system: "be kind" }));
  assert(usage.cache.sinks > 4);
});

Deno.test("without any cache there is no service", () => {
  assertThrows(() => openService([]), RangeError, "at least one");
});
