import { assertEquals } from "@std/assert";
import { RowArena } from "../../lib/attend/row_arena.ts";
import { addressOf } from "../../lib/engine/native/address.ts";
import {
  layerCaches,
  slotLayout,
  tensorElements,
} from "../../lib/cache/layout.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import { rowFormats } from "../../lib/graph/attention/row_formats.ts";

Deno.test("row arena: tensors of all layers have memory of their own, at borders, and say where", () => {
  const shape = { heads: 4, kvHeads: 2, headDim: 16, layers: 7 };
  const formats = rowFormats(8, { products: "attended" });
  const attention = new GroupedQueryAttention(shape, { blocks: 1, formats });
  const layout = slotLayout(4, 501, attention);
  const layers = layerCaches({ shape, attention }, layout);
  const slots = 3;
  const arena = new RowArena(layers, slots);
  const tensors = layers.flatMap((layer, l) =>
    layer.tensors.map((tensor, t) => {
      const elements = slots * tensorElements(tensor, layout);
      const rows = arena.rowsOf(l)(t, { type: tensor.type, elements });
      assertEquals(rows.length, elements);
      assertEquals(addressOf(rows) % 64n, 0n);
      assertEquals(
        arena.address(l, t),
        addressOf(rows),
      );
      return rows;
    })
  );
  for (const [i, values] of tensors.entries()) {
    assertEquals(values.every((value) => value === 0), true);
    values.fill(i % 100 + 1);
  }
  for (const [i, values] of tensors.entries()) {
    assertEquals(values.every((value) => value === i % 100 + 1), true);
  }
});
