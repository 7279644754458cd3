import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  attendConstants,
  FIELD,
  HEAD_STEP,
  headsOfItem,
  JOB,
  LANE,
  PART,
  READ_BEHIND,
  ROW_ELEMENTS,
  type RowElement,
} from "../../kernels/attend_job.ts";
import { addressOf } from "../../lib/engine/native/address.ts";
import type { AttentionShape } from "../../lib/graph/decoder_shape.ts";
import { attendRows } from "../../kernels/attend_rows.x64.ts";
import {
  placeCode,
  runsMachineCode,
} from "../../lib/engine/native/machine_code.ts";

const ARRAYS = { float32: Float32Array, int16: Int16Array, int8: Int8Array };
const LARGEST = { float32: 1, int16: 32_767, int8: 127 };

function numbers(
  count: number,
  seed: number,
  size = 1,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: count },
    (_, i) => size * Math.sin(seed + i * 12.9898) * Math.cos(seed - i * 78.233),
  );
}

/** Rows of all KV heads of a slot, with NaN or the like behind them: what must not count shows. */
function rowsOf(
  { element, lines, rows, headDim, seed }: {
    element: RowElement;
    lines: number;
    rows: number;
    headDim: number;
    seed: number;
  },
) {
  const behind = READ_BEHIND / 4;
  const count = lines * rows * headDim;
  const data = new ARRAYS[element](count + behind);
  data.set(numbers(count, seed, LARGEST[element]));
  data.fill(element === "float32" ? NaN : LARGEST[element], count);
  const scales = new Float32Array(lines * rows + behind).fill(NaN);
  scales.set(
    numbers(lines * rows, seed + 5).map((x) => (x + 1.1) / LARGEST[element]),
  );
  const encoded = element !== "float32";
  return {
    data,
    scales,
    value: (line: number, row: number, d: number) =>
      data[(line * rows + row) * headDim + d]! *
      (encoded ? scales[line * rows + row]! : 1),
  };
}

interface Case {
  readonly shape: AttentionShape;
  /** Rows that each part of a slot has, and what they are made of. */
  readonly parts: readonly { element: RowElement; rows: number }[];
  /** By conversation: its slot, and for each part where what it sees begins and how many rows that is. */
  readonly lanes: readonly {
    slot: number;
    runs: readonly { part: number; first: number; rows: number }[];
  }[];
  /** How large scores are. */
  readonly size: number;
}

/** Runs the code for all items, and the same in f64. */
function attend({ shape, parts, lanes, size }: Case) {
  const { heads, kvHeads, headDim } = shape;
  const half = headDim / 2;
  const group = heads / kvHeads;
  const slots = 1 + Math.max(...lanes.map(({ slot }) => slot));
  const memory = parts.map(({ element, rows }, i) => {
    const of = { element, lines: slots * kvHeads, rows, headDim };
    return {
      keys: rowsOf({ ...of, seed: i }),
      values: rowsOf({ ...of, rows: rows + 3, seed: i + 100 }),
    };
  });
  const table = BigUint64Array.from(parts.flatMap(({ element, rows }, i) => {
    const { keys, values } = memory[i]!;
    const fields: bigint[] = Array(PART.fields).fill(0n);
    fields[PART.keys] = addressOf(keys.data);
    fields[PART.values] = addressOf(values.data);
    fields[PART.keyScales] = addressOf(keys.scales);
    fields[PART.valueScales] = addressOf(values.scales);
    const row = headDim * keys.data.BYTES_PER_ELEMENT;
    fields[PART.keyLine] = BigInt(rows * row);
    fields[PART.valueLine] = BigInt((rows + 3) * row);
    fields[PART.keyScaleLine] = BigInt(rows * 4);
    fields[PART.valueScaleLine] = BigInt((rows + 3) * 4);
    fields[PART.element] = BigInt(ROW_ELEMENTS.indexOf(element));
    fields[PART.sinks] = i === 0 ? 1n : 0n;
    return fields;
  }));
  const angles = lanes.map((_, i) => numbers(half * 2, i + 3, 3));
  const turned = angles.map((all) =>
    Float32Array.from([
      ...all.subarray(0, half).map(Math.cos),
      ...all.subarray(0, half).map(Math.sin),
      ...all.subarray(half).map(Math.cos),
      ...all.subarray(half).map(Math.sin),
    ])
  );
  const most = Math.max(...lanes.map(({ runs }) => runs.length));
  const laneFields = LANE.first + most * LANE.run.fields;
  const book = new BigUint64Array(lanes.length * laneFields);
  for (const [i, { slot, runs }] of lanes.entries()) {
    book.set(
      [
        BigInt(slot * kvHeads),
        addressOf(turned[i]!),
        BigInt(runs.length),
        ...runs.flatMap((r) => [r.part, r.first, r.rows].map(BigInt)),
      ],
      i * laneFields,
    );
  }
  const token = (heads + 2 * kvHeads) * headDim;
  const projections = numbers(lanes.length * token, 9, size);
  const attended = new Float32Array(lanes.length * heads * headDim + 8).fill(7);
  const row = kvHeads * headDim;
  const keys = new Float32Array(lanes.length * row + 8).fill(7);
  const values = new Float32Array(lanes.length * row + 8).fill(7);
  const constants = attendConstants();
  const job = new BigUint64Array(JOB.fields);
  job[JOB.parts] = addressOf(table);
  job[JOB.lanes] = addressOf(book);
  job[JOB.laneBytes] = BigInt(laneFields * FIELD);
  job[JOB.projections] = addressOf(projections);
  job[JOB.attended] = addressOf(attended);
  job[JOB.keys] = addressOf(keys);
  job[JOB.values] = addressOf(values);
  job[JOB.newRowBytes] = BigInt(row * 4);
  job[JOB.constants] = addressOf(constants);

  const code = placeCode(
    `test ${heads} ${kvHeads} ${headDim}`,
    () => attendRows(shape),
  );
  const item = new Deno.UnsafeFnPointer(
    code as Deno.PointerObject<never>,
    { parameters: ["buffer", "usize"], result: "void" },
  );
  const items = lanes.length * heads / headsOfItem(shape);
  for (let i = 0; i < items; i++) item.call(job, BigInt(i));

  const turn = (
    x: ArrayLike<number>,
    at: number,
    by: ArrayLike<number>,
    from: number,
  ) =>
    Array.from({ length: headDim }, (_, d) => {
      const pair = d % half;
      const [a, b] = [x[at + pair]!, x[at + half + pair]!];
      const [c, s] = [Math.cos(by[from + pair]!), Math.sin(by[from + pair]!)];
      return d < half ? a * c - b * s : b * c + a * s;
    });
  const expected = {
    attended: [] as number[],
    keys: [] as number[],
    values: [] as number[],
  };
  for (const [i, { slot, runs }] of lanes.entries()) {
    const at = i * token;
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / group);
      const own = turn(
        projections,
        at + (heads + kvHead) * headDim,
        angles[i]!,
        0,
      );
      const value = at + (heads + kvHeads + kvHead) * headDim;
      const query = turn(projections, at + h * headDim, angles[i]!, 0);
      const sinkQuery = turn(projections, at + h * headDim, angles[i]!, half);
      const dot = (q: number[], key: (d: number) => number) =>
        q.reduce((sum, x, d) => sum + x * key(d), 0);
      const seen = [
        {
          score: dot(query, (d) => own[d]!),
          value: (d: number) => projections[value + d]!,
        },
        ...runs.flatMap(({ part, first, rows }) =>
          Array.from({ length: rows }, (_, r) => ({
            score: dot(
              part === 0 ? sinkQuery : query,
              (d) =>
                memory[part]!.keys.value(slot * kvHeads + kvHead, first + r, d),
            ),
            value: (d: number) =>
              memory[part]!.values.value(slot * kvHeads + kvHead, first + r, d),
          }))
        ),
      ];
      const largest = Math.max(...seen.map(({ score }) => score));
      const weights = seen.map(({ score }) => Math.exp(score - largest));
      const all = weights.reduce((a, b) => a + b);
      for (let d = 0; d < headDim; d++) {
        expected.attended.push(
          seen.reduce(
            (sum, { value }, r) => sum + weights[r]! / all * value(d),
            0,
          ),
        );
      }
      if (h % group === 0) {
        expected.keys.push(...own);
        for (let d = 0; d < headDim; d++) {
          expected.values.push(projections[value + d]!);
        }
      }
    }
  }
  return { actual: { attended, keys, values }, expected };
}

function assertNear(
  actual: Float32Array,
  expected: readonly number[],
  tolerance: number,
): void {
  for (const [i, value] of expected.entries()) {
    const off = Math.abs(actual[i]! - value);
    assert(off <= tolerance, `${i}: ${actual[i]} is not ${value}`);
  }
  // Nothing behind it was written.
  assertEquals([...actual.subarray(expected.length)], Array(8).fill(7));
}

function check(of: Case): void {
  const { actual, expected } = attend(of);
  assertNear(actual.attended, expected.attended, 3e-5 * Math.max(1, of.size));
  assertNear(actual.keys, expected.keys, 3e-7 * of.size);
  assertNear(actual.values, expected.values, 0);
}

const ignore = !runsMachineCode();
if (ignore) {
  console.warn(
    "attend rows: skipped, for this CPU has no AVX2, or this is not Linux",
  );
}

const SHAPES: readonly AttentionShape[] = [
  { heads: 9, kvHeads: 3, headDim: 64 },
  { heads: 8, kvHeads: 2, headDim: HEAD_STEP },
  { heads: 5, kvHeads: 1, headDim: 48 },
  { heads: 2, kvHeads: 2, headDim: 128 },
];

for (const shape of SHAPES) {
  const { heads, kvHeads, headDim } = shape;
  Deno.test({
    name:
      `attend rows: ${heads} heads of ${headDim} on ${kvHeads} attend as in f64, whatever rows they see`,
    ignore,
    fn() {
      const element = fc.constantFrom(...ROW_ELEMENTS);
      const rows = fc.oneof(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 120, max: 300 }),
      );
      const cases = fc.record({
        parts: fc.array(fc.record({ element, rows }), {
          minLength: 1,
          maxLength: 3,
        }),
        size: fc.constantFrom(0.1, 1, 4),
      }).chain(({ parts, size }) =>
        fc.record({
          parts: fc.constant(parts),
          size: fc.constant(size),
          lanes: fc.array(
            fc.record({
              slot: fc.nat(2),
              runs: fc.array(
                fc.nat(parts.length - 1).chain((part) =>
                  fc.nat(parts[part]!.rows - 1).chain((first) =>
                    fc.record({
                      part: fc.constant(part),
                      first: fc.constant(first),
                      rows: fc.integer({
                        min: 1,
                        max: parts[part]!.rows - first,
                      }),
                    })
                  )
                ),
                { maxLength: 4 },
              ),
            }),
            { minLength: 1, maxLength: 3 },
          ),
        })
      );
      fc.assert(fc.property(cases, (of) => check({ shape, ...of })), {
        numRuns: 60,
        seed: 1,
      });
    },
  });
}

Deno.test({
  name:
    "attend rows: scores far apart are weighed as in f64, the largest first or last",
  ignore,
  fn() {
    const shape = { heads: 2, kvHeads: 1, headDim: 32 };
    for (const size of [20, 60]) {
      for (const first of [0, 100, 290]) {
        check({
          shape,
          size,
          parts: [{ element: "float32", rows: 300 }],
          lanes: [{
            slot: 0,
            runs: [{ part: 0, first, rows: 10 }, {
              part: 0,
              first: 0,
              rows: 300,
            }],
          }],
        });
      }
    }
  },
});
