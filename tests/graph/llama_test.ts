import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { rotateHalfOrder } from "../../lib/graph/families/llama.ts";

Deno.test("rows of a head: interleaved pairs become halves", () => {
  assertEquals([...rotateHalfOrder(2, 6)], [
    0,
    2,
    4,
    1,
    3,
    5,
    6,
    8,
    10,
    7,
    9,
    11,
  ]);
  assertEquals([...rotateHalfOrder(1, 8)], [0, 2, 4, 6, 1, 3, 5, 7]);
});

Deno.test("row order: each row once, and rows i and i + d/2 are a pair of the file's", () => {
  const sizes = fc.record({
    heads: fc.integer({ min: 1, max: 5 }),
    half: fc.integer({ min: 1, max: 16 }),
  });
  fc.assert(fc.property(sizes, ({ heads, half }) => {
    const headDim = 2 * half;
    const order = rotateHalfOrder(heads, headDim);
    assertEquals(
      [...order].sort((a, b) => a - b),
      Array.from(order, (_, i) => i),
    );
    for (let head = 0; head < heads; head++) {
      const at = head * headDim;
      for (let i = 0; i < half; i++) {
        const pair = [order[at + i]! - at, order[at + i + half]! - at];
        assertEquals(pair, [2 * i, 2 * i + 1]);
      }
    }
  }));
});
