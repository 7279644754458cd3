/** What decoders with caches in host memory do with that memory (the cache contract, points 4 and 5). @module */
import { assert, assertEquals } from "@std/assert";
import type { RowData } from "../../lib/cache/layer_memory.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import type { HostDecoder } from "../../lib/decoder/host_decoder.ts";
import type { Engine } from "../../lib/engine/engine.ts";
import type { RowBits } from "../reference/row_reference.ts";
import { randomTokens, writeSmallModel } from "../reference/small_model.ts";
import { appendAll, openRecorded, type TestedRows } from "./open.ts";

const POLICY = new SinkWindow(4, 13);
const LAYOUT = { sinkRows: 4, blocks: [4, 9] };
/** Keys and values of 2 layers, 2 heads each. */
const HEADS = 2 * 2 * 2;

/** What a row of 16 values of one head is kept as. */
const ROW: Record<RowBits, { values: number; bytes: number }> = {
  32: { values: 16, bytes: 64 },
  16: { values: 17, bytes: 36 },
  8: { values: 17, bytes: 20 },
  4: { values: 9, bytes: 12 },
};

/** Adds the test of one engine, with rows of f32 or of fewer bits. */
export function hostMemoryTest(
  engine: Engine,
  { bits = 32, rows }: { bits?: RowBits; rows?: TestedRows } = {},
): void {
  Deno.test(`${engine.name} decoder keeps its memory, and writes one row of it for a token: ${bits} bits`, async () => {
    await using model = await writeSmallModel();
    const opened = { layout: LAYOUT, slots: 2, rows };
    const recorded = await openRecorded(engine, model, opened);
    await using decoder = recorded.decoder;
    const { session } = recorded;
    decoder.open(0, POLICY);
    await appendAll(decoder, randomTokens(POLICY.capacity), { size: 1 });
    const memory = memoryOf(decoder);
    const bytes = memory.reduce((sum, { byteLength }) => sum + byteLength, 0);
    assertEquals([decoder.cacheBytes, 2 * decoder.slotBytes], [bytes, bytes]);
    const exact = POLICY.sinks + (rows?.tailRows ?? 0);
    assertEquals(
      decoder.slotBytes,
      HEADS * (exact * 64 + POLICY.window * ROW[bits].bytes),
    );
    assertEquals(decoder.tokenBytes, HEADS * ROW[bits].bytes);
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
        for (const [j, value] of before[i]!.entries()) {
          if (value !== values[j]) changed++;
        }
      }
      const inTail = rows !== undefined && token >= POLICY.sinks;
      const least = HEADS * 16; // a value of f32 is never what another one was, a code may be
      const most = inTail ? HEADS * (16 + ROW[bits].values) : least;
      const what = `values that token ${token} wrote: ${changed}`;
      assert(changed >= least && changed <= most, what);
      if (inTail) assert(changed > least, what);
      assertEquals(decoder.cacheBytes, bytes);
    }
  });
}

/** All of a decoder's caches, tensor by tensor, as they lie. */
export function memoryOf({ memory, slots }: HostDecoder): RowData[] {
  const range = { first: 0, count: slots };
  return memory.layers.flatMap(({ layout }, layer) =>
    memory.views(layer, range, layout).map(({ data }) => data)
  );
}
