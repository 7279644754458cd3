/** What decoders with caches in host memory do with that memory (the cache contract, points 4 and 5). @module */
import { assert, assertEquals } from "@std/assert";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { Engine } from "../../lib/engine/engine.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";
import { appendAll, openRecorded } from "./open.ts";

const POLICY = new SinkWindow(4, 13);
const LAYOUT = { sinkRows: 4, blocks: [4, 9] };

/** Adds the test of one engine. */
export function hostMemoryTest(engine: Engine): void {
  Deno.test(`${engine.name} decoder keeps its memory, and writes one row of it for a token`, async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: 2 };
    const recorded = await openRecorded(engine, model, opened);
    await using decoder = recorded.decoder;
    const { session } = recorded;
    decoder.open(0, POLICY);
    await appendAll(decoder, randomTokens(POLICY.capacity), { size: 1 });
    const memory = session.cacheMemory();
    const bytes = memory.reduce((sum, { byteLength }) => sum + byteLength, 0);
    assertEquals([decoder.cacheBytes, 2 * decoder.slotBytes], [bytes, bytes]);
    assertEquals(decoder.slotBytes, 2 * 17 * 2 * 2 * 16 * 4); // layers, tokens, k and v, heads, d, f32
    decoder.open(1, POLICY);
    let bound = new Map<string, unknown>();
    for (let token = 0; token < 2 * POLICY.capacity + 3; token++) { // all different
      const before = memory.map((values) => values.slice());
      await decoder.run([{ slot: 1, tokens: [token], logits: 0 }]);
      const now = new Map<string, unknown>(Object.entries(session.caches()));
      if (token === 9) bound = now; // its second block is in use from here on
      for (const [name, tensor] of bound) {
        assert(tensor === now.get(name), `${name} is new`);
      }
      let changed = 0;
      for (const [i, values] of memory.entries()) {
        changed += before[i]!.reduce(
          (sum, x, j) => sum + Number(x !== values[j]),
          0,
        );
      }
      assertEquals(changed, 2 * 2 * 2 * 16, `values that token ${token} wrote`);
      assertEquals(decoder.cacheBytes, bytes);
    }
  });
}
