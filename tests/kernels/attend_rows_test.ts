import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type AttendRowsExports,
  HEAD_STEP,
  MOST_QUERIES,
  ROW_ELEMENTS,
  type RowElement,
} from "../../kernels/attend_rows.wat.ts";
import { assembleKernel } from "../../lib/attend/assemble.ts";

const PAGES = 4;
// Where things lie in the memory, in bytes.
const QUERIES = 0;
const LINES = 8_192;
const STRIDE = 1_024;
const TO = 16_384;
const ROWS = 32_768;

const ARRAYS = { float32: Float32Array, int16: Int16Array, int8: Int8Array };
const LARGEST = { float32: 1, int16: 32_767, int8: 127 };

/** The kernel on a memory that is full of NaN: what it must not read shows. */
async function open(headDim: number) {
  const shape = { heads: 3, kvHeads: 1, headDim };
  const memory = new WebAssembly.Memory({
    initial: PAGES,
    maximum: PAGES,
    shared: true,
  });
  const module = await assembleKernel(shape);
  const { exports } = new WebAssembly.Instance(module, { host: { memory } });
  const floats = new Float32Array(memory.buffer).fill(NaN);
  return { kernel: exports as unknown as AttendRowsExports, memory, floats };
}

function numbers(count: number, seed: number, size = 1): number[] {
  return Array.from(
    { length: count },
    (_, i) => size * Math.sin(seed + i * 12.9898) * Math.cos(i * 78.233),
  );
}

/** Writes rows of an element; gives them as they are. */
function writeRows(
  memory: WebAssembly.Memory,
  { element, rows, headDim, seed }: {
    element: RowElement;
    rows: number;
    headDim: number;
    seed: number;
  },
): number[] {
  const all = new ARRAYS[element](memory.buffer as never, ROWS, rows * headDim);
  all.set(numbers(all.length, seed, LARGEST[element]));
  return [...all];
}

function assertNear(
  actual: ArrayLike<number>,
  expected: readonly number[],
  tolerance: number,
): void {
  assertEquals(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    const off = Math.abs(actual[i]! - value);
    assert(off <= tolerance, `${i}: ${actual[i]} is not ${value}`);
  }
}

for (const headDim of [HEAD_STEP, 64]) {
  for (const element of ROW_ELEMENTS) {
    Deno.test(`attend rows: scores and mixes of ${element}, heads of ${headDim}, are sums of products`, async () => {
      const { kernel, memory, floats } = await open(headDim);
      for (let heads = 1; heads <= MOST_QUERIES; heads++) {
        for (const rows of [1, 2, 3, 4, 5, 16, 17, 33]) {
          floats.fill(NaN);
          const seed = rows * 7 + heads;
          const of = { element, rows, headDim, seed };
          const given = writeRows(memory, of);
          const queries = numbers(heads * headDim, seed + 1)
            .map(Math.fround);
          floats.set(queries, QUERIES / 4);
          kernel[`${element}_scores${heads}`]!(
            QUERIES,
            ROWS,
            LINES,
            rows,
            STRIDE,
          );
          const size = LARGEST[element] * headDim;
          const weights: number[] = [];
          for (let h = 0; h < heads; h++) {
            const line = floats.subarray((LINES + h * STRIDE) / 4);
            const expected = Array.from({ length: rows }, (_, r) => {
              let sum = 0;
              for (let d = 0; d < headDim; d++) {
                sum += queries[h * headDim + d]! * given[r * headDim + d]!;
              }
              return sum;
            });
            assertNear(line.subarray(0, rows), expected, 3e-7 * size);
            const own = numbers(rows, seed + h).map(Math.fround);
            line.set(own);
            line.fill(NaN, rows, rows + 4); // no weight behind the last is read
            weights.push(...own);
          }
          kernel.clear(TO, heads * headDim * 4);
          kernel[`${element}_mix${heads}`]!(LINES, ROWS, TO, rows, STRIDE);
          const mixed = floats.subarray(TO / 4, TO / 4 + heads * headDim);
          const expected = Array.from({ length: heads * headDim }, (_, i) => {
            const [h, d] = [Math.floor(i / headDim), i % headDim];
            let sum = 0;
            for (let r = 0; r < rows; r++) {
              sum += weights[h * rows + r]! * given[r * headDim + d]!;
            }
            return sum;
          });
          assertNear(mixed, expected, 3e-7 * LARGEST[element] * rows);
        }
      }
    });
  }
}

Deno.test("attend rows: exponentials are as near as f32 allows, and of hidden scores 0", async () => {
  const { kernel, floats } = await open(64);
  const line = floats.subarray(LINES / 4);
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -100, max: 100, noNaN: true }), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.nat(8),
      (scores, hidden) => {
        const count = Math.ceil((scores.length + hidden) / 4) * 4;
        line.set(scores);
        kernel.hide(LINES + scores.length * 4, count - scores.length || 1);
        if (count === scores.length) line[count] = NaN;
        const sum = kernel.exponentials(LINES, count);
        const most = Math.max(...scores);
        const expected = scores.map((x) => Math.exp(Math.fround(x - most)));
        for (const [i, value] of expected.entries()) {
          // Below that f32 has denormals alone.
          const off = Math.abs(line[i]! - value);
          const near = off <= 4e-7 * value ||
            (value < 1.7e-38 && off < 1.7e-38);
          assert(near, `${scores[i]}: ${line[i]} is not ${value}`);
        }
        assert(line.subarray(scores.length, count).every((x) => x === 0));
        const whole = expected.reduce((a, b) => a + b);
        assert(Math.abs(sum - whole) <= 1e-5 * whole, `${sum}, not ${whole}`);
      },
    ),
    { numRuns: 500, seed: 1 },
  );
});

Deno.test("attend rows: rotates pairs, multiplies lines and heads", async () => {
  const headDim = 32;
  const half = headDim / 2;
  const { kernel, floats } = await open(headDim);
  const x = numbers(2 * headDim, 3).map(Math.fround);
  const angles = numbers(half, 5, 3);
  const [cos, sin, to] = [LINES, LINES + STRIDE, TO];
  floats.set(x, QUERIES / 4);
  floats.set(angles.map(Math.cos), cos / 4);
  floats.set(angles.map(Math.sin), sin / 4);
  kernel.rotate(QUERIES, cos, sin, to, 2);
  const rotated = x.map((_, i) => {
    const [first, d] = [i - i % headDim, i % headDim];
    const pair = d % half;
    const [a, b] = [x[first + pair]!, x[first + half + pair]!];
    const [c, s] = [Math.cos(angles[pair]!), Math.sin(angles[pair]!)];
    return d < half ? a * c - b * s : b * c + a * s;
  });
  assertNear(floats.subarray(to / 4, to / 4 + 2 * headDim), rotated, 3e-7);
  assert(Number.isNaN(floats[to / 4 + 2 * headDim]));

  kernel.scale(QUERIES, -2);
  const scaled = floats.subarray(QUERIES / 4, QUERIES / 4 + 2 * headDim);
  assertEquals(
    [...scaled],
    x.map((value, i) => i < headDim ? -2 * value : value),
  );
  floats.set([1, 2, 3, 4, 5], LINES / 4);
  floats.set([2, 3, 4, 5, 6], TO / 4 + 1); // wherever it lies
  kernel.weigh(LINES, TO + 4, 4);
  assertEquals([...floats.subarray(LINES / 4, LINES / 4 + 5)], [
    2,
    6,
    12,
    20,
    5,
  ]);
});
