/** A row is encoded once in its life: nothing that happens to others ever changes it. @module */
import { assert, assertEquals } from "@std/assert";
import { layerCaches } from "../../lib/cache/layout.ts";
import { RingMemory } from "../../lib/cache/ring_memory.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import { NATIVE } from "../../lib/engine/native.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";
import {
  randomTokens,
  SMALL,
  writeSmallModel,
} from "../reference/small_model.ts";
import { appendAll, openRecorded } from "./open.ts";

const POLICY = new SinkWindow(4, 60);
const EVICTIONS = 10_000;
const BLOCKS = [20, 40];

Deno.test("after 10,000 evictions a decoder of 4 bits goes on as one with a fresh cache of the same rows", async () => {
  const rows = { formats: rowFormats(4), tailRows: 16 };
  const layout = { sinkRows: 4, blocks: BLOCKS };
  await using model = await writeSmallModel();
  const opened = { layout, slots: 2, rows };
  const recorded = await openRecorded(NATIVE, model, opened);
  await using decoder = recorded.decoder;
  const attention = new GroupedQueryAttention(SMALL, { blocks: 2, ...rows });
  const fresh = new RingMemory(
    layerCaches({ shape: SMALL, attention }, { ...layout, tailRows: 16 }),
    1,
  );
  const tokens = randomTokens(POLICY.capacity + EVICTIONS);
  decoder.open(0, POLICY);
  for (const [p, token] of tokens.entries()) {
    await decoder.run([{ slot: 0, tokens: [token], logits: 0 }]);
    if (p >= POLICY.sinks && p < tokens.length - POLICY.window) continue;
    const { keys, values } = recorded.session.outputs;
    const places = () => [POLICY.place(p)];
    fresh.write(0, { first: p, places }, { keys: keys!, values: values! });
  }
  assertEquals(decoder.seen(0), tokens.length);

  const streamed = decoder.save(0) as ReturnType<typeof decoder.save>;
  const copy = fresh.copy(0, () => POLICY.window);
  assertEquals(streamed.copy, copy);
  assert(
    copy.layers[0]!.columns.every((values) => values.some((x) => x !== 0)),
  );
  await decoder.restore(1, { ...streamed, copy } as typeof streamed);
  const next = randomTokens(2 * POLICY.capacity, undefined, 3);
  const [logits, expected] = [
    await appendAll(decoder, next, { size: 1, slot: 0 }),
    await appendAll(decoder, next, { size: 1, slot: 1 }),
  ];
  assertEquals(logits, expected);
});
