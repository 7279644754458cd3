import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { RowData } from "../../lib/cache/layer_memory.ts";
import {
  hadamard,
  INT16_CODEC,
  INT4_CODEC,
  INT8_CODEC,
  type RowCodec,
  turn,
} from "../../lib/cache/row_codec.ts";
import {
  hadamardMatrix,
  largestCode,
  multiplied,
  readBack,
} from "../reference/row_reference.ts";

const CODECS = [[INT16_CODEC, 16], [INT8_CODEC, 8], [INT4_CODEC, 4]] as const;
const WIDTHS = [2, 4, 6, 16, 64, 80, 96, 112, 128];

/** Rows of one width, from the smallest numbers to the largest that scales can have. */
const rowsOf = (width: number) =>
  fc.tuple(
    fc.array(
      fc.array(
        fc.oneof(
          { weight: 8, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }) },
          { weight: 1, arbitrary: fc.constantFrom(0, -0, 1, -1, 0.5) },
        ),
        { minLength: width, maxLength: width },
      ),
      { minLength: 1, maxLength: 4 },
    ),
    fc.constantFrom(1, 1e-30, 1e30, 1e-3, 300),
  ).map(([rows, factor]) =>
    rows.map((row) => Float32Array.from(row, (value) => value * factor))
  );
const someRows = fc.constantFrom(...WIDTHS).chain((width) =>
  rowsOf(width).map((rows) => ({ width, rows }))
);

function flat(rows: readonly Float32Array[]): Float32Array {
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

/** The codes of rows, each of its own, however they are packed. */
function codesOf(codec: RowCodec, codes: RowData, width: number): number[] {
  if (codec !== INT4_CODEC) return [...codes];
  const all: number[] = [];
  for (let at = 0; at < codes.length; at += width / 2) {
    const bytes = [...codes.subarray(at, at + width / 2)];
    const low = bytes.map((byte) => (byte << 28) >> 28); // its last 4 bits, with their sign
    const high = bytes.map((byte, i) => (byte - low[i]!) / 16);
    all.push(...low, ...high);
  }
  return all;
}

/** What is kept of a row, read by definition. */
function decoded(codec: RowCodec, rows: Float32Array, width: number) {
  const [codes, scales] = codec.encode(rows, width) as [RowData, RowData];
  const read = codesOf(codec, codes, width).map((code, i) =>
    code * scales[Math.floor(i / width)]!
  );
  return { codes: codesOf(codec, codes, width), scales, read };
}

for (const [codec, bits] of CODECS) {
  const most = largestCode(bits);

  Deno.test(`${codec.name} rows: each value is the nearest code of its row's scale`, () => {
    fc.assert(fc.property(someRows, ({ width, rows }) => {
      const { codes, scales, read } = decoded(codec, flat(rows), width);
      assertEquals([codes.length, scales.length], [
        rows.length * width,
        rows.length,
      ]);
      for (const [r, row] of rows.entries()) {
        const exact = codec.turned
          ? multiplied(Float64Array.from(row), hadamardMatrix(width))
          : Float64Array.from(row);
        const largest = exact.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
        const scale = scales[r]!;
        // Scales are f32, which below 1e-38 have fewer bits; half a step is what rounding costs.
        assert(Math.abs(scale - largest / most) <= 1e-6 * scale + 1e-44);
        const margin = 2e-6 * largest + most * 1e-44;
        for (const [i, value] of exact.entries()) {
          const error = Math.abs(read[r * width + i]! - value);
          assert(error <= scale / 2 + margin, `${value} is off by ${error}`);
          assert(Math.abs(codes[r * width + i]!) <= most);
        }
        if (scale > 1e-37) {
          const own = codes.slice(r * width, (r + 1) * width);
          assertEquals(Math.max(...own.map(Math.abs)), most);
        }
      }
    }));
  });

  Deno.test(`${codec.name} rows: the definition's codes, but where it is in doubt`, () => {
    let known = 0;
    fc.assert(
      fc.property(someRows, ({ width, rows }) => {
        const { read } = decoded(codec, flat(rows), width);
        for (const [r, row] of rows.entries()) {
          const expected = readBack(Float64Array.from(row), bits);
          if (expected.doubt < 1e-6 * most) continue;
          known++;
          const own = Float64Array.from(read.slice(r * width, (r + 1) * width));
          const found = codec.turned
            ? multiplied(own, hadamardMatrix(width))
            : own;
          const size = Math.max(...row.map(Math.abs));
          for (const [i, value] of found.entries()) {
            assertAlmostEquals(value, expected.row[i]!, 1e-5 * size + 1e-40);
          }
        }
      }),
      { numRuns: 200 },
    );
    assert(known > (bits === 16 ? 5 : 100), `only ${known} rows are compared`);
  });

  Deno.test(`${codec.name} rows: zeros are zeros, and rows do not concern one another`, () => {
    for (const width of WIDTHS) {
      const zeros = decoded(codec, new Float32Array(2 * width), width);
      assert([...zeros.codes, ...zeros.scales].every((x) => x === 0));
      const rows = new Float32Array(3 * width);
      for (let i = 0; i < width; i++) rows[width + i] = Math.sin(i + 1);
      const alone = decoded(codec, rows.slice(width, 2 * width), width);
      const { codes, scales } = decoded(codec, rows, width);
      assertEquals(codes.slice(width, 2 * width), alone.codes);
      assertEquals([...scales], [0, alone.scales[0]!, 0]);
      assert([...codes.slice(0, width), ...codes.slice(2 * width)]
        .every((code) => code === 0));
    }
  });

  Deno.test(
    `${codec.name} rows: one large value takes ${
      codec.turned ? "no other's bits" : "all codes"
    }`,
    () => {
      const row = Float32Array.from(
        { length: 64 },
        (_, i) => i === 9 ? -8e3 : 1,
      );
      const { read } = decoded(codec, row, 64);
      if (!codec.turned) {
        const step = 8e3 / most;
        assertAlmostEquals(read[9]!, -8e3, 1e-2);
        const expected = Math.round(1 / step) * step;
        assert(
          read.every((x, i) =>
            i === 9 || Math.abs(x - expected) <= 1e-3 * step
          ),
        );
      } else {
        // Spread over all values, it costs half a step of an eighth of its size in each.
        const turned = multiplied(Float64Array.from(read), hadamardMatrix(64));
        const errors = turned.map((value, i) => value - row[i]!);
        const rms = Math.hypot(...errors) / 8;
        assert(rms <= (8e3 / 8 + 8) / most / 2, `${rms}`);
      }
    },
  );

  Deno.test(`${codec.name} rows: parts say what is kept`, () => {
    for (const width of WIDTHS) {
      const parts = codec.parts(width);
      const kept = codec.encode(new Float32Array(3 * width), width);
      assertEquals(kept.length, parts.length);
      for (const [i, { type, width }] of parts.entries()) {
        assertEquals(kept[i]!.length, 3 * width);
        assertEquals(
          kept[i]!.constructor,
          { int8: Int8Array, int16: Int16Array, float32: Float32Array }[
            type as "int8"
          ],
        );
      }
    }
  });

  Deno.test(`${codec.name} rows: encoding leaves what it is given as it is`, () => {
    const rows = Float32Array.from({ length: 128 }, (_, i) => Math.cos(i));
    const before = rows.slice();
    codec.encode(rows, 64);
    assertEquals(rows, before);
  });
}

Deno.test("int4 rows: a byte is 16 times the code of value i + width / 2, and that of value i", () => {
  const codes = fc.array(fc.integer({ min: -7, max: 7 }), {
    minLength: 16,
    maxLength: 16,
  });
  fc.assert(fc.property(codes, (codes) => {
    codes[3] = 7; // so that the scale is the one that is meant
    const turned = Float64Array.from(codes, (code) => code / 4);
    const row = Float32Array.from(multiplied(turned, hadamardMatrix(16)));
    const [packed, scales] = INT4_CODEC.encode(row, 16);
    assertAlmostEquals(scales![0]!, 1 / 4, 1e-6);
    assertEquals(
      [...packed!],
      Array.from({ length: 8 }, (_, i) => 16 * codes[i + 8]! + codes[i]!),
    );
  }));
});

Deno.test("a turned row is the row times the matrix, which is orthonormal and its own inverse", () => {
  for (let width = 2; width <= 128; width += 2) {
    const matrix = hadamard(width);
    const expected = hadamardMatrix(width);
    assertEquals(matrix.length, width * width);
    for (const [i, value] of matrix.entries()) {
      assertAlmostEquals(value, expected[i]!, 1e-7);
      assertEquals(value, matrix[(i % width) * width + Math.floor(i / width)]);
    }
    for (let i = 0; i < width; i++) {
      const row = expected.slice(i * width, (i + 1) * width);
      for (const [j, product] of multiplied(row, expected).entries()) {
        assertAlmostEquals(product, i === j ? 1 : 0, 1e-12);
      }
    }
  }
  // Widths with odd factors are turned in blocks.
  const blockOf = (width: number) =>
    hadamard(width).slice(0, width).filter((value) => value !== 0).length;
  assertEquals([2, 64, 80, 96, 112, 128].map(blockOf), [
    2,
    64,
    16,
    32,
    16,
    128,
  ]);
});

Deno.test("turned twice, a row is as it was", () => {
  fc.assert(fc.property(someRows, ({ width, rows }) => {
    for (const row of rows) {
      const turned = row.slice();
      turn(turned);
      const once = multiplied(Float64Array.from(row), hadamardMatrix(width));
      const size = Math.max(...row.map(Math.abs));
      const near = (a: number, b: number) =>
        assert(Math.abs(a - b) <= 1e-5 * size + 1e-43, `${a} is not ${b}`);
      for (const [i, value] of turned.entries()) near(value, once[i]!);
      turn(turned);
      for (const [i, value] of turned.entries()) near(value, row[i]!);
    }
  }));
});
