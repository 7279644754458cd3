import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { toByteGrid } from "../../lib/weights/byte_grid.ts";

const matrices = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  cols: fc.integer({ min: 1, max: 40 }),
  /** Where a row's weights lie. */
  shift: fc.constantFrom(-5, 0, 0.5, 5),
  size: fc.constantFrom(1e-20, 0.01, 1, 1e10),
}).chain(({ rows, cols, shift, size }) =>
  fc.record({
    rows: fc.constant(rows),
    weights: fc.array(
      fc.float({ min: -1, max: 1, noNaN: true }),
      { minLength: rows * cols, maxLength: rows * cols },
    ).map((all) => Float32Array.from(all, (w) => size * (w + shift))),
  })
);

Deno.test("each weight is on its row's nearest point, and 0 exactly where it stands", () => {
  fc.assert(fc.property(matrices, ({ rows, weights }) => {
    const { codes, scale, zero, error } = toByteGrid(weights, rows);
    assertEquals([codes.length, scale.length], [weights.length, rows]);
    let [errors, squares] = [0, 0];
    for (const [at, weight] of weights.entries()) {
      const r = at % rows;
      const own = weights.filter((_, i) => i % rows === r);
      const reach = Math.max(0, ...own) - Math.min(0, ...own);
      const found = scale[r]! * (codes[at]! - zero[r]!);
      // Half a step; a whole one at the end that zero's rounding leaves out.
      const off = Math.max(0, Math.abs(found - weight) - 1e-40); // f32 ends there
      assert(off <= 1.01 * reach / 255, `${found} for ${weight} of ${reach}`);
      if (off > 0.501 * reach / 255) assert([-128, 127].includes(codes[at]!));
      if (weight === 0) assertEquals(found, 0);
      errors += (found - weight) ** 2;
      squares += weight ** 2;
    }
    const relative = squares === 0 ? 0 : Math.sqrt(errors / squares);
    assert(Math.abs(error - relative) <= 1e-6 * (1 + relative));
  }));
});

Deno.test("a row of nothing has no scale, and moves nothing", () => {
  const { codes, scale, zero, error } = toByteGrid(new Float32Array(6), 2);
  assertEquals([...codes, ...scale, ...zero, error], Array(11).fill(0));
});
