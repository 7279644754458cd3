import { assertEquals } from "@std/assert";
import {
  type CacheTensor,
  conversationBytes,
  tensorElements,
  tensorTokens,
} from "../../lib/cache/layout.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import type { DecoderShape } from "../../lib/graph/decoder_shape.ts";

function tensorsOf(
  heads: number,
  kvHeads: number,
  headDim: number,
): readonly CacheTensor[] {
  const shape = { heads, kvHeads, headDim } as DecoderShape; // all that it needs of it
  return new GroupedQueryAttention(shape).tensors;
}

Deno.test("a conversation's bytes are the design's check figures", () => {
  const smollm = tensorsOf(9, 3, 64);
  const bytes = (bytesPerElement: number, windowRows: number) =>
    conversationBytes({ layers: 30, tensors: smollm, bytesPerElement }, {
      sinkRows: 4,
      windowRows,
    });
  assertEquals(bytes(4, 1020) / 1024, 45 * 1024);
  assertEquals(bytes(2, 1020) / 1024, 22.5 * 1024);

  // Llama-3-70B counted as multi-head attention.
  const llama = {
    layers: 80,
    tensors: tensorsOf(64, 64, 128),
    bytesPerElement: 2,
  };
  assertEquals(
    conversationBytes(llama, { sinkRows: 1, windowRows: 4095 }),
    10 * 2 ** 30,
  );
  assertEquals(
    conversationBytes(llama, { sinkRows: 1, windowRows: 4095 }) / 4096,
    2.5 * 2 ** 20,
  );
});

Deno.test("a conversation's bytes grow with each part by what that part holds", () => {
  const row = { rows: "r", heads: 2, width: 8 };
  const layout = { sinkRows: 3, windowRows: 5 };
  const held = { sinks: 3, window: 5, all: 8 };
  let total = 0;
  const tensors: CacheTensor[] = [];
  for (const holds of ["sinks", "window", "all"] as const) {
    const tensor = { ...row, name: holds, holds };
    assertEquals(tensorTokens(tensor, layout), held[holds]);
    assertEquals(tensorElements(tensor, layout), 16 * held[holds]);
    tensors.push(tensor);
    total += 7 * 16 * held[holds] * 4;
    assertEquals(
      conversationBytes({ layers: 7, tensors, bytesPerElement: 4 }, layout),
      total,
    );
  }
});
