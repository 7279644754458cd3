import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import {
  type AffineBlocks,
  toAffineBlocks,
} from "../../lib/weights/affine_blocks.ts";
import { toSymmetricBlocks } from "../../lib/weights/symmetric_blocks.ts";
import { mulberry32 } from "../reference/small_model.ts";
import { normalBlocks } from "./normal_blocks.ts";
import { randomBlocks } from "./random_blocks.ts";

/** Weights by definition, in f64. */
function weightsOf(
  { bits, blockSize, center, q, scale, offset }: AffineBlocks,
): number[] {
  return Array.from({ length: q.length * 8 / bits }, (_, i) => {
    const integer = bits === 8 ? q[i]! : q[i >> 1]! >> (i & 1) * 4 & 15;
    const block = Math.floor(i / blockSize);
    return scale[block]! * (integer - center) + (offset?.[block] ?? 0);
  });
}

/** One block of given integers, offset in steps. */
function blockOf(
  integers: readonly number[],
  { d, ratio, bits }: { d: number; ratio: number; bits: 4 | 8 },
): AffineBlocks {
  const q = bits === 8
    ? Uint8Array.from(integers)
    : Uint8Array.from({ length: integers.length / 2 }, (_, i) =>
      integers[2 * i]! | integers[2 * i + 1]! << 4);
  return {
    bits,
    blockSize: 32,
    center: bits === 8 ? 128 : 8,
    q,
    scale: Float32Array.of(d),
    offset: Float32Array.of(d * ratio),
  };
}

const scales = fc.tuple(
  fc.double({ min: 0.5, max: 1, noNaN: true }),
  fc.integer({ min: -24, max: 4 }),
  fc.constantFrom(1, -1),
).map(([mantissa, exponent, sign]) =>
  Math.fround(sign * mantissa * 2 ** exponent)
);

/** Integers of four bits, or as many of eight; often not all of them in use. */
const integers = fc.tuple(fc.nat(15), fc.nat(15)).chain(([a, b]) =>
  fc.array(fc.integer({ min: Math.min(a, b), max: Math.max(a, b) }), {
    minLength: 32,
    maxLength: 32,
  })
);

const blocks = fc.record({
  integers,
  bits: fc.constantFrom(4 as const, 8 as const),
  d: scales,
});

function oneBlock(
  { integers, bits, d }: { integers: number[]; bits: 4 | 8; d: number },
  ratio: number,
): AffineBlocks {
  const wide = bits === 8 ? integers.map((q) => q + 120) : integers;
  return blockOf(wide, { d, bits, ratio });
}

Deno.test("weights without offsets: all of a block are moved alike, on a grid of 8 bits, by half a step of it at most", () => {
  const ratios = fc.double({ min: -100, max: 100, noNaN: true });
  fc.assert(
    fc.property(blocks, ratios, (of, ratio) => {
      const from = oneBlock(of, ratio);
      const { blocks: to } = toSymmetricBlocks(from);
      assertEquals([to.bits, to.blockSize, to.center], [8, 32, 128]);
      assertStrictEquals(to.offset, null);
      assertEquals([to.q.length, to.scale.length], [32, 1]);
      assert(to.q.every((q) => q >= 1), "−128 has no counterpart");
      const [before, after] = [weightsOf(from), weightsOf(to)];
      const moved = after.map((weight, i) => weight - before[i]!);
      const largest = Math.max(...before.map(Math.abs));
      for (const move of moved) {
        assert(Math.abs(move - moved[0]!) <= largest * 1e-6, "not all alike");
        // The coarsest grid that has to do: of the block's own steps.
        assert(Math.abs(move) <= Math.abs(of.d) / 2 + largest * 1e-6);
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("weights without offsets: of all grids that 8 bits can hold the one that moves weights least is taken", () => {
  const ratios = fc.double({ min: -30, max: 30, noNaN: true });
  fc.assert(
    fc.property(blocks, ratios, (of, ratio) => {
      const from = oneBlock(of, ratio);
      const [d, m] = [from.scale[0]!, from.offset![0]!];
      const levels = of.integers.map((q) => q - 8);
      const [least, most] = [Math.min(...levels), Math.max(...levels)];
      fc.pre(least < most);
      let best = Infinity;
      for (let n = 1; n <= 254; n++) {
        const shift = Math.round(n * m / d);
        // One step of room: grids that only just fit need not be found.
        if (Math.abs(n * least + shift) > 126) continue;
        if (Math.abs(n * most + shift) > 126) continue;
        best = Math.min(best, Math.abs(shift / n * d - m));
      }
      const after = weightsOf(toSymmetricBlocks(from).blocks);
      const before = weightsOf(from);
      const largest = Math.max(...before.map(Math.abs));
      const move = Math.abs(after[0]! - before[0]!);
      assert(move <= best + largest * 1e-6, `${move} instead of ${best}`);
    }),
    { numRuns: 500 },
  );
});

Deno.test("weights without offsets: the error is the root mean square of what weights are moved by, over theirs", () => {
  const ratios = fc.oneof(
    fc.double({ min: -10, max: 10, noNaN: true }),
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  );
  const many = fc.array(fc.tuple(blocks, ratios), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(
    fc.property(many, fc.constantFrom(4 as const, 8 as const), (all, bits) => {
      const parts = all.map(([of, ratio]) => oneBlock({ ...of, bits }, ratio));
      const from: AffineBlocks = {
        ...parts[0]!,
        q: Uint8Array.from(parts.flatMap(({ q }) => [...q])),
        scale: Float32Array.from(parts.map(({ scale }) => scale[0]!)),
        offset: Float32Array.from(parts.map(({ offset }) => offset![0]!)),
      };
      const { blocks: to, error } = toSymmetricBlocks(from);
      const [before, after] = [weightsOf(from), weightsOf(to)];
      const square = (sum: number, x: number) => sum + x * x;
      const weights = before.reduce(square, 0);
      const errors = after.map((x, i) => x - before[i]!).reduce(square, 0);
      const expected = weights === 0 ? 0 : Math.sqrt(errors / weights);
      assert(
        Math.abs(error - expected) <= 1e-7 + expected * 1e-6,
        `${error} instead of ${expected}`,
      );
    }),
    { numRuns: 500 },
  );
});

Deno.test("weights without offsets: where an offset is many times a block's steps, weights are rounded to 8 bits", () => {
  const ratios = fc.tuple(
    fc.double({ min: 100, max: 1e7, noNaN: true }),
    fc.constantFrom(1, -1),
  ).map(([size, sign]) => size * sign);
  fc.assert(
    fc.property(blocks, ratios, (of, ratio) => {
      const from = oneBlock(of, ratio);
      const [before, after] = [
        weightsOf(from),
        weightsOf(toSymmetricBlocks(from).blocks),
      ];
      const largest = Math.max(...before.map(Math.abs));
      // Half a step: of the block's own, or of the grid that just reaches the largest weight.
      const half = Math.max(Math.abs(of.d), largest / 127) / 2;
      for (const [i, weight] of before.entries()) {
        assert(
          Math.abs(after[i]! - weight) <= half + largest * 1e-6,
          `${after[i]} instead of ${weight}`,
        );
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("weights without offsets: 8 bits from end to end are rounded at most by half a step", () => {
  const all = Array.from({ length: 32 }, (_, i) => Math.round(i * 255 / 31));
  for (const ratio of [0.3, -0.7, 5, -126]) {
    const from = blockOf(all, { d: 0.25, ratio, bits: 8 });
    const { blocks: to, error } = toSymmetricBlocks(from);
    const before = weightsOf(from);
    const largest = Math.max(...before.map(Math.abs));
    for (const [i, weight] of weightsOf(to).entries()) {
      assert(Math.abs(weight - before[i]!) <= largest * 0.5 / 127 + 1e-5);
    }
    assert(error < 0.005, `${error}`);
  }
});

Deno.test("weights without offsets: a block whose weights are all the same is exact, whatever its scale", () => {
  for (const bits of [4, 8] as const) {
    const center = bits === 8 ? 128 : 8;
    for (const level of [-8, -1, 0, 3, 7]) {
      for (const ratio of [0, 8, 8 + 1e-6, -3, 0.123, 100, -1e6]) {
        for (const d of [0.01, -0.01]) {
          const q = Array<number>(32).fill(center + level);
          const from = blockOf(q, { d, ratio, bits });
          const { blocks: to, error } = toSymmetricBlocks(from);
          const [weight] = weightsOf(from);
          for (const found of weightsOf(to)) {
            assert(Math.abs(found - weight!) <= Math.abs(weight!) * 1e-7);
          }
          assert(error < 1e-7);
        }
      }
    }
  }
});

Deno.test("weights without offsets: of a scale of 0 there is the offset alone", () => {
  const q = Array.from({ length: 32 }, (_, i) => i % 16);
  for (const m of [0.5, -3, 0]) {
    const from: AffineBlocks = {
      ...blockOf(q, { d: 0, ratio: 0, bits: 4 }),
      offset: Float32Array.of(m),
    };
    const { blocks: to, error } = toSymmetricBlocks(from);
    for (const found of weightsOf(to)) assert(Math.abs(found - m) <= 1e-6);
    assert(error < 1e-6);
  }
});

Deno.test("weights without offsets: blocks that have none are given back as they are", () => {
  const random = mulberry32(3);
  for (const type of ["Q4_0", "Q8_0", "Q6_K"] as const) {
    const bytes = randomBlocks(type, 512, { random });
    const from = toAffineBlocks(type, bytes, 2, 256)!;
    const { blocks, error } = toSymmetricBlocks(from);
    assertStrictEquals(blocks, from);
    assertEquals(error, 0);
  }
});

Deno.test("weights without offsets: Q4_1 of weights that are normally distributed are moved by less than 0.0035 of them", () => {
  for (const seed of [1, 2, 3]) {
    const bytes = normalBlocks(256 * 256, mulberry32(seed));
    const from = toAffineBlocks("Q4_1", bytes, 256, 256)!;
    const { error } = toSymmetricBlocks(from);
    assert(error > 0.001 && error < 0.0035, `${error}`);
  }
});
