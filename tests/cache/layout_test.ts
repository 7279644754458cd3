import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  blockCount,
  type CacheTensor,
  conversationBytes,
  layerCaches,
  oneRow,
  ROW_TYPE_BYTES,
  slotLayout,
  tensorElements,
  tensorTokens,
  usedLayout,
  windowRows,
} from "../../lib/cache/layout.ts";
import { FusedGroupedQueryAttention } from "../../lib/graph/attention/fused_grouped_query.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { KV_BITS, type KvBits } from "../../lib/cache/cache_format.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";

const BLOCKS = 3;
const SMOLLM = { heads: 9, kvHeads: 3, headDim: 64 };

Deno.test("a conversation's bytes are the design's check figures", () => {
  const shape = { layers: 30 };
  const f32 = new GroupedQueryAttention(SMOLLM, { blocks: BLOCKS });
  const f16 = new FusedGroupedQueryAttention(SMOLLM, "float16");
  const layout = slotLayout(4, 1020, { blocks: BLOCKS });
  assertEquals(
    conversationBytes(layerCaches({ shape, attention: f32 }, layout)) / 1024,
    45 * 1024,
  );
  const whole = { sinkRows: 4, tailRows: 0, blocks: [1020] };
  assertEquals(
    conversationBytes(layerCaches({ shape, attention: f16 }, whole)) / 1024,
    22.5 * 1024,
  );

  // Llama-3-70B counted as multi-head attention.
  const llama = { heads: 64, kvHeads: 64, headDim: 128 };
  const attention = new FusedGroupedQueryAttention(llama, "float16");
  const bytes = conversationBytes(
    layerCaches({ shape: { layers: 80 }, attention }, {
      sinkRows: 1,
      tailRows: 0,
      blocks: [4095],
    }),
  );
  assertEquals([bytes, bytes / 4096], [10 * 2 ** 30, 2.5 * 2 ** 20]);
});

Deno.test("rows of fewer bits take their codes and a scale for each head; sinks and tail stay f32", () => {
  // Of 64 values: 128, 64 or 32 bytes of codes, and 4 of the scale.
  const kept = { 32: 256, 16: 132, 8: 68, 4: 36 };
  const rowsOf = 30 * 2 * 3; // layers, keys and values, heads
  for (const [bits, row] of Object.entries(kept)) {
    const formats = rowFormats(Number(bits) as KvBits);
    const of = { blocks: BLOCKS, formats };
    const attention = new GroupedQueryAttention(SMOLLM, of);
    const { tailRows } = attention;
    assertEquals(tailRows, bits === "32" ? 0 : 64);
    const layout = slotLayout(4, 1020, { blocks: BLOCKS, tailRows });
    const bytes = (of = layout) =>
      conversationBytes(layerCaches({ shape: { layers: 30 }, attention }, of));
    assertEquals(bytes(), rowsOf * ((4 + tailRows) * 256 + 1020 * row));
    assertEquals(bytes(oneRow(layout)), rowsOf * row);
  }
  // Keys of sensitive layers keep 8 bits.
  const formats = rowFormats(4, { sensitive: [3, 7] });
  const attention = new GroupedQueryAttention(SMOLLM, { blocks: 1, formats });
  const layers = layerCaches({ shape: { layers: 30 }, attention }, {
    sinkRows: 0,
    tailRows: 0,
    blocks: [1],
  });
  assertEquals(conversationBytes(layers), rowsOf * 36 + 2 * 3 * 32);
});

Deno.test("a conversation's bytes grow with each part by what that part holds", () => {
  const row = { rows: "r", heads: 2, width: 8, byRow: true };
  const layout = { sinkRows: 3, tailRows: 6, blocks: [5, 11] };
  let total = 0;
  const tensors: CacheTensor[] = [];
  for (
    const [type, sinks, tail, block, tokens] of [
      ["float32", true, false, null, 3],
      ["int8", false, false, 0, 5],
      ["int16", true, false, 1, 14],
      ["float16", false, true, null, 6],
      ["float32", true, true, 1, 20],
    ] as const
  ) {
    const tensor = { ...row, name: `${block}`, type, sinks, tail, block };
    assertEquals(tensorTokens(tensor, layout), tokens);
    assertEquals(tensorElements(tensor, layout), 16 * tokens);
    tensors.push(tensor);
    total += 7 * 16 * tokens * ROW_TYPE_BYTES[type];
    assertEquals(conversationBytes(Array(7).fill({ tensors, layout })), total);
  }
  assertEquals(ROW_TYPE_BYTES, { float32: 4, float16: 2, int16: 2, int8: 1 });
});

Deno.test("a ring's blocks hold all of its rows, and few of them are enough for a short conversation", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1 << 20 }),
      fc.nat(3),
      fc.nat(64),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom(...KV_BITS),
      (window, more, tailRows, share, bits) => {
        const blocks = blockCount(window, bits) + more;
        const layout = slotLayout(4, window, { blocks, tailRows });
        assertEquals(windowRows(layout), window);
        assertEquals([layout.blocks.length, layout.tailRows], [
          blocks,
          tailRows,
        ]);
        const rows = Math.floor(share * window);
        const used = usedLayout(layout, rows);
        assertEquals([used.sinkRows, used.tailRows], [4, tailRows]);
        let before = 0;
        for (const [i, block] of layout.blocks.entries()) {
          const inUse = i === 0 || (before < rows && block > 0);
          assertEquals(used.blocks[i], inUse ? block : 1);
          before += block;
        }
        assert(windowRows(used) >= rows);
        // At most four times what is needed, once past one block.
        assert(
          windowRows(used) <=
            Math.max(bits === 8 ? 2048 : 512, 4 * rows) + used.blocks.length,
        );
      },
    ),
  );
});
