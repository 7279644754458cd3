import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { mostRuns, rowRuns } from "../../lib/attend/row_runs.ts";
import { type SlotLayout, windowRows } from "../../lib/cache/layout.ts";
import { SinkWindow } from "../../lib/cache/sink_window.ts";

Deno.test("row runs: a token sees by runs what it sees by the mask", () => {
  let wrapped = 0;
  fc.assert(
    fc.property(
      fc.record({
        sinks: fc.nat(5),
        window: fc.integer({ min: 1, max: 40 }),
        spare: fc.nat(10),
        tailRows: fc.nat(9),
        blocks: fc.integer({ min: 1, max: 3 }),
        seen: fc.nat(150),
        boundaries: fc.uniqueArray(fc.nat(150), { maxLength: 6 }),
      }),
      ({ sinks, window, spare, tailRows, blocks, seen, ...of }) => {
        const boundaries = of.boundaries.sort((a, b) => a - b);
        const policy = new SinkWindow(sinks, window);
        const layout: SlotLayout = {
          sinkRows: Math.max(1, sinks),
          tailRows,
          blocks: divided(window + spare, blocks),
        };
        const runs = rowRuns(
          policy.seenRows(seen, { stored: seen, tailRows, boundaries }),
          layout,
        );
        const starts = [0, layout.sinkRows];
        for (const rows of [tailRows, ...layout.blocks]) {
          starts.push(starts.at(-1)! + rows);
        }
        const all = windowRows(layout) + layout.sinkRows + tailRows;
        const found = Array<number>(all).fill(0);
        for (const { part, first, rows } of runs) {
          for (let row = 0; row < rows; row++) {
            found[starts[part]! + first + row]! += 1;
          }
        }
        const mask = new Float32Array(all + 1);
        const chunk = { seen, count: 1, chunkColumns: 1, boundaries };
        const rows = { ...layout, windowRows: windowRows(layout) };
        policy.fillMask(mask, chunk, rows);
        assertEquals(found, [...mask.subarray(0, all)].map((x) => +(x === 0)));
        assertEquals(runs.length <= mostRuns(layout), true);
        wrapped = Math.max(wrapped, runs.length);
      },
    ),
    { numRuns: 2_000, seed: 1 },
  );
  assertEquals(wrapped >= 6, true, `only ${wrapped} runs at a time`);
});

function divided(rows: number, blocks: number): number[] {
  const size = Math.ceil(rows / blocks);
  return Array.from(
    { length: blocks },
    (_, b) => Math.max(0, Math.min(size, rows - b * size)),
  );
}
