import fc from "fast-check";
import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  type AffineBlocks,
  toAffineBlocks,
} from "../../lib/weights/affine_blocks.ts";
import { dequantize } from "../../lib/weights/dequantize.ts";
import { GGML_TYPES, type GgmlTypeName } from "../../lib/weights/ggml_types.ts";
import { randomBlocks } from "./random_blocks.ts";

const QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q5_K", "Q6_K"] as const;

/** A generator of numbers in [0, 1) from a seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

function integerAt({ bits, q }: AffineBlocks, index: number): number {
  return bits === 8 ? q[index]! : q[index >> 1]! >> (index & 1) * 4 & 15;
}

/** The largest magnitude that the integers of the type could give in a block. */
function reach(type: GgmlTypeName, scale: number, offset: number): number {
  const range = type === "Q8_0"
    ? 128
    : type === "Q6_K"
    ? 32
    : type === "Q5_K"
    ? 16
    : 8;
  return Math.max(
    Math.abs(offset - range * scale),
    Math.abs(offset + (range - 1) * scale),
  );
}

for (const type of QUANTISED) {
  Deno.test(`${type} as affine blocks gives the dequantised values`, () => {
    fc.assert(fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.tuple(
        fc.integer({ min: 0, max: 30 }),
        fc.integer({ min: 0, max: 30 }),
      ),
      (seed, rows, blocksPerRow, [a, b]) => {
        const cols = blocksPerRow * GGML_TYPES[type].blockSize;
        const exponents = [Math.min(a, b), Math.max(a, b)] as const;
        const bytes = randomBlocks(type, rows * cols, {
          random: seeded(seed),
          exponents,
        });
        const values = dequantize(type, bytes, rows * cols);
        const blocks = toAffineBlocks(type, bytes, rows, cols)!;
        assertEquals(blocks.scale.length, rows * cols / blocks.blockSize);
        for (let i = 0; i < values.length; i++) {
          const block = Math.floor(i / blocks.blockSize);
          const scale = blocks.scale[block]!;
          const offset = blocks.offset?.[block] ?? 0;
          const rebuilt = scale * (integerAt(blocks, i) - blocks.center) +
            offset;
          const bound = reach(type, scale, offset) * 2 ** -22;
          assert(
            Math.abs(rebuilt - values[i]!) <= bound,
            `weight ${i}: ${rebuilt} is not within ${bound} of ${values[i]}`,
          );
        }
      },
    ));
  });

  Deno.test(`${type} as affine blocks needs exactly its bytes`, () => {
    const { blockSize, bytesPerBlock } = GGML_TYPES[type];
    const bytes = new Uint8Array(2 * bytesPerBlock);
    assertThrows(
      () => toAffineBlocks(type, bytes, 3, blockSize),
      RangeError,
      type,
    );
    assertThrows(
      () => toAffineBlocks(type, bytes, 4, blockSize / 2),
      RangeError,
      type,
    );
    assertThrows(
      () => toAffineBlocks(type, bytes, -2, blockSize),
      RangeError,
      type,
    );
    assertEquals(
      toAffineBlocks(type, bytes, 1, 2 * blockSize)?.q.some((value) =>
        value > 128
      ),
      false,
    );
  });
}

Deno.test("affine blocks have the form that their type calls for", () => {
  const forms = QUANTISED.map((type) => {
    const bytes = randomBlocks(type, 256, { random: seeded(1) });
    const { bits, blockSize, center, offset } = toAffineBlocks(
      type,
      bytes,
      1,
      256,
    )!;
    return [type, bits, blockSize, center, offset !== null];
  });
  assertEquals(forms, [
    ["Q8_0", 8, 32, 128, false],
    ["Q4_0", 4, 32, 8, false],
    ["Q4_1", 4, 32, 8, true],
    ["Q4_K", 4, 32, 8, true],
    ["Q5_K", 8, 32, 128, true],
    ["Q6_K", 8, 16, 128, false],
  ]);
});

Deno.test("weights that are not quantised have no affine blocks", () => {
  for (const type of ["F32", "F16", "BF16"] as const) {
    const bytes = new Uint8Array(6 * GGML_TYPES[type].bytesPerBlock);
    assertStrictEquals(toAffineBlocks(type, bytes, 2, 3), null);
  }
});

Deno.test("offsets that are all zero are left out", () => {
  const block = new Uint8Array(20).fill(0x5a);
  block.set([0x00, 0x3c, 0x00, 0xc8]); // d = 1, m = −8
  assertStrictEquals(toAffineBlocks("Q4_1", block, 1, 32)!.offset, null);
});

Deno.test("four-bit weights lie in order, the even one in the low nibble", () => {
  const block = new Uint8Array(18);
  // Byte i holds weight i in its low nibble and weight 16 + i in its high one.
  for (let i = 0; i < 16; i++) block[2 + i] = i | (15 - i) << 4;
  const { q } = toAffineBlocks("Q4_0", block, 1, 32)!;
  assertEquals(
    [...q],
    [
      0x10,
      0x32,
      0x54,
      0x76,
      0x98,
      0xba,
      0xdc,
      0xfe,
      0xef,
      0xcd,
      0xab,
      0x89,
      0x67,
      0x45,
      0x23,
      0x01,
    ],
  );
});

Deno.test("five- and six-bit weights are stored around 128", () => {
  const five = toAffineBlocks("Q5_K", new Uint8Array(176).fill(0xff), 1, 256)!;
  assertEquals([five.q[0], five.q[255]], [143, 143]);
  const six = toAffineBlocks("Q6_K", new Uint8Array(210), 1, 256)!;
  assertEquals([six.q[0], six.q[255]], [96, 96]);
});
