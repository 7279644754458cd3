import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  blockCount,
  type CacheTensor,
  conversationBytes,
  slotLayout,
  tensorElements,
  tensorTokens,
  usedLayout,
  windowRows,
} from "../../lib/cache/layout.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import type { DecoderShape } from "../../lib/graph/decoder_shape.ts";

const BLOCKS = 3;

function tensorsOf(
  heads: number,
  kvHeads: number,
  headDim: number,
): readonly CacheTensor[] {
  const shape = { heads, kvHeads, headDim } as DecoderShape; // all that it needs of it
  return new GroupedQueryAttention(shape, BLOCKS).tensors;
}

Deno.test("a conversation's bytes are the design's check figures", () => {
  const smollm = tensorsOf(9, 3, 64);
  const bytes = (bytesPerElement: number, window: number) =>
    conversationBytes(
      { layers: 30, tensors: smollm, bytesPerElement },
      slotLayout(4, window, BLOCKS),
    );
  assertEquals(bytes(4, 1020) / 1024, 45 * 1024);
  assertEquals(bytes(2, 1020) / 1024, 22.5 * 1024);

  // Llama-3-70B counted as multi-head attention.
  const llama = {
    layers: 80,
    tensors: tensorsOf(64, 64, 128),
    bytesPerElement: 2,
  };
  assertEquals(
    conversationBytes(llama, slotLayout(1, 4095, BLOCKS)),
    10 * 2 ** 30,
  );
  assertEquals(
    conversationBytes(llama, slotLayout(1, 4095, BLOCKS)) / 4096,
    2.5 * 2 ** 20,
  );
});

Deno.test("a conversation's bytes grow with each part by what that part holds", () => {
  const row = { rows: "r", heads: 2, width: 8 };
  const layout = { sinkRows: 3, blocks: [5, 11] };
  let total = 0;
  const tensors: CacheTensor[] = [];
  for (
    const [sinks, block, tokens] of [
      [true, null, 3],
      [false, 0, 5],
      [true, 1, 14],
    ] as const
  ) {
    const tensor = { ...row, name: `${block}`, sinks, block };
    assertEquals(tensorTokens(tensor, layout), tokens);
    assertEquals(tensorElements(tensor, layout), 16 * tokens);
    tensors.push(tensor);
    total += 7 * 16 * tokens * 4;
    assertEquals(
      conversationBytes({ layers: 7, tensors, bytesPerElement: 4 }, layout),
      total,
    );
  }
});

Deno.test("a ring's blocks hold all of its rows, and few of them are enough for a short conversation", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1 << 20 }),
      fc.nat(3),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (window, more, share) => {
        const layout = slotLayout(4, window, blockCount(window) + more);
        assertEquals(windowRows(layout), window);
        assertEquals(layout.blocks.length, blockCount(window) + more);
        const rows = Math.floor(share * window);
        const used = usedLayout(layout, rows);
        let before = 0;
        for (const [i, block] of layout.blocks.entries()) {
          const inUse = i === 0 || (before < rows && block > 0);
          assertEquals(used.blocks[i], inUse ? block : 1);
          before += block;
        }
        assert(windowRows(used) >= rows);
        // At most four times what is needed, once past one block.
        assert(
          windowRows(used) <= Math.max(512, 4 * rows) + used.blocks.length,
        );
      },
    ),
  );
});
