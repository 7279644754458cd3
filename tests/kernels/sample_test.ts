import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
} from "@std/assert";
import fc from "fast-check";
import { Pipelines } from "../../kernels/pipelines.ts";
import { type RowRequest, SampleKernel } from "../../kernels/sample.ts";
import { createRandom } from "../../lib/sampling/random.ts";
import type {
  LogitSummary,
  SummaryRequest,
} from "../../lib/sampling/summary.ts";
import { download, type Gpu, gpuTest, upload } from "../gpu.ts";
import { changeLogits, summarise } from "./reference.ts";
import { assertSame } from "./rows.ts";

const PLAIN: SummaryRequest = { temperature: 1, fraction: 0.5, changes: [] };

for (const vocabulary of [1, 2, 255, 256, 257, 300, 4099, 49_152]) {
  gpuTest(
    `sample summarises as its twin does: vocabulary ${vocabulary}`,
    async (gpu) => {
      const random = createRandom(vocabulary);
      const rows = Array.from(
        { length: 3 },
        () =>
          Float32Array.from({ length: vocabulary }, () => 24 * random() - 16),
      );
      const kernel = await open(gpu, rows);
      for (const temperature of [0.01, 0.7, 1, 5]) {
        const requests = [2, 0, 1].map((row) => ({
          row,
          request: { temperature, fraction: random(), changes: [] },
        }));
        const summaries = await kernel.run(requests);
        for (const [i, { row, request }] of requests.entries()) {
          assertSummary(summaries[i]!, rows[row]!, request);
        }
      }
    },
  );
}

gpuTest(
  "sample summarises the same with workgroups of any size",
  async (gpu) => {
    const random = createRandom(1);
    const row = Float32Array.from({ length: 777 }, () => 9 * random());
    const request = { ...PLAIN, temperature: 0.6, fraction: 0.9 };
    for (const size of [1, 8, 512, 1024]) {
      const pipelines = new Pipelines(gpu.device);
      pipelines.workgroupSize = () => size;
      const kernel = await open({ ...gpu, pipelines }, [row]);
      const [summary] = await kernel.run([{ row: 0, request }]);
      assertSummary(summary!, row, request);
    }
  },
  {
    limits: {
      maxComputeInvocationsPerWorkgroup: 1024,
      maxComputeWorkgroupSizeX: 1024,
    },
  },
);

gpuTest(
  "sample draws by ascending id, at both ends of [0, 1) too",
  async (gpu) => {
    const random = createRandom(8);
    const row = Float32Array.from({ length: 1000 }, () => 6 * random());
    row[0] = row[999] = -Infinity;
    const kernel = await open(gpu, [row]);
    const drawn: number[] = [];
    for (const fraction of [0, 1e-9, 0.25, 0.5, 0.75, 0.999999, 1 - 2 ** -53]) {
      const request = { ...PLAIN, fraction };
      const [summary] = await kernel.run([{ row: 0, request }]);
      assertSummary(summary!, row, request);
      drawn.push(summary!.drawn.token);
    }
    assertEquals(drawn, drawn.toSorted((a, b) => a - b));
    assertEquals([drawn[0], drawn.at(-1)], [1, 998]);
  },
);

gpuTest(
  "sample names the lowest ids of those that tie at the 256th place",
  async (gpu) => {
    // 200 above; then 300 that tie, of which the first 56 are wanted.
    const row = new Float32Array(2000).fill(-3);
    for (let i = 0; i < 300; i++) row[1999 - 5 * i] = 2.5;
    for (let i = 0; i < 200; i++) row[3 + 7 * i] = 4 + i / 8;
    const kernel = await open(gpu, [row]);
    const [summary] = await kernel.run([{ row: 0, request: PLAIN }]);
    assertSummary(summary!, row, PLAIN);
    assertEquals(summary!.logits[199], 4);
    assertEquals(summary!.logits[200], 2.5);
    assertEquals(summary!.logits[255], 2.5);
  },
);

gpuTest(
  "sample takes logits that are all equal, -0 like 0, or one that outweighs all",
  async (gpu) => {
    const equal = new Float32Array(5000).fill(-7.25);
    const zeros = Float32Array.from(equal, (_, i) => i % 3 === 0 ? -0 : 0);
    const peaked = new Float32Array(5000).fill(-30);
    peaked[4321] = 80;
    const far = Float32Array.from(equal, (_, i) => i % 2 === 0 ? -3e38 : 3e38);
    const rows = [equal, zeros, peaked, far];
    const kernel = await open(gpu, rows);
    for (const temperature of [1e-300, 0.01, 1, 5]) {
      const request = { temperature, fraction: 0.999999, changes: [] };
      const asked = rows.map((_, row) => ({ row, request }));
      for (const [i, summary] of (await kernel.run(asked)).entries()) {
        assertSummary(summary, rows[i]!, request);
      }
    }
  },
);

gpuTest(
  "sample never draws what has -Infinity, and names it last",
  async (gpu) => {
    const row = new Float32Array(300).fill(-Infinity);
    row[17] = 1;
    row[250] = 3;
    const kernel = await open(gpu, [row]);
    for (const fraction of [0, 0.1, 0.2, 0.999999]) {
      const request = { ...PLAIN, fraction };
      const [summary] = await kernel.run([{ row: 0, request }]);
      assertSummary(summary!, row, request);
      assertEquals([...summary!.tokens.subarray(0, 3)], [250, 17, 0]);
    }
  },
);

gpuTest(
  "sample changes logits before all but logSum, of its request alone, and leaves the buffer as it was",
  async (gpu) => {
    const random = createRandom(21);
    const row = Float32Array.from({ length: 700 }, () => 16 * random() - 8);
    row[5] = 0;
    row[6] = -Infinity;
    const other = row.toReversed();
    const rows = Float32Array.of(...row, ...other, ...row);
    const logits = upload(gpu.device, rows);
    const options = { logits, rows: 3, vocabulary: 700, changes: 2 };
    const kernel = await SampleKernel.create(gpu.pipelines, options);
    const changes = Array.from({ length: 500 }, (_, i) => ({
      token: (i * 3) % 700,
      divisor: [1, 1.3, 2, 0.5][i % 4]!,
      added: [0, -1.5, 100, -100, -Infinity][i % 5]!,
    }));
    const changing = { ...PLAIN, temperature: 0.8, changes };
    const requests = [
      { row: 0, request: changing },
      { row: 0, request: PLAIN },
      { row: 1, request: { ...changing, changes: changes.slice(0, 7) } },
    ];
    const bytes = kernel.bytes;
    for (const _ of [1, 2]) {
      const summaries = await kernel.run(requests);
      for (const [i, { row: index, request }] of requests.entries()) {
        assertSummary(summaries[i]!, index === 0 ? row : other, request);
      }
    }
    const grown = kernel.bytes;
    assert(grown > bytes, `${grown} bytes are not over ${bytes}`);
    const after = new Float32Array(await download(gpu.device, logits));
    assertSame(after, rows);
  },
);

gpuTest(
  "sample throws for NaN, Infinity and -Infinity alone, and goes on",
  async (gpu) => {
    const good = new Float32Array(600).fill(1);
    const rows = [NaN, -NaN, Infinity].map((bad, i) => {
      const row = good.slice();
      row[500] = row[300 + i] = bad;
      return row;
    });
    rows.push(new Float32Array(600).fill(-Infinity), good);
    const kernel = await open(gpu, rows);
    for (
      const [row, message] of [
        [0, "token 300 has NaN"],
        [1, "token 301 has NaN"],
        [2, "token 302 has Infinity"],
        [3, "every token has -Infinity"],
      ] as const
    ) {
      const run = kernel.run([{ row: 4, request: PLAIN }, {
        row,
        request: PLAIN,
      }]);
      await assertRejects(() => run, RangeError, message);
      const [summary] = await kernel.run([{ row: 4, request: PLAIN }]);
      assertSummary(summary!, good, PLAIN);
    }
    const changes = [{ token: 9, divisor: 1, added: -Infinity }];
    const [summary] = await kernel.run([{
      row: 4,
      request: { ...PLAIN, changes },
    }]);
    assert(!summary!.tokens.includes(9));
  },
);

gpuTest("sample summarises any logits as its twin does", async ({
  device,
  pipelines,
}) => {
  const vocabulary = 523;
  const logits = upload(device, new Float32Array(vocabulary));
  const options = { logits, rows: 1, vocabulary, changes: 9 };
  const kernel = await SampleKernel.create(pipelines, options);
  // Few values, so that many tie; changes that are exact, so that all ties stay.
  const value = fc.constantFrom(-Infinity, -80, -2, -1, -0.5, -0, 0, 0.5, 1, 9);
  const change = fc.record({
    token: fc.nat(vocabulary - 1),
    divisor: fc.constantFrom(0.5, 1, 2),
    added: fc.constantFrom(-100, -1, 0, 0.25, 100),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(value, { minLength: 1, maxLength: vocabulary }),
      fc.record({
        temperature: fc.double({ min: 0.01, max: 5, noNaN: true }),
        fraction: fc.double({
          min: 0,
          max: 1,
          maxExcluded: true,
          noNaN: true,
        }),
        changes: fc.uniqueArray(change, { selector: ({ token }) => token }),
      }),
      async (values, request) => {
        const row = Float32Array.from(
          { length: vocabulary },
          (_, i) => values[i % values.length]!,
        );
        row[vocabulary - 1] = 0.75;
        device.queue.writeBuffer(logits, 0, row);
        const [summary] = await kernel.run([{ row: 0, request }]);
        assertSummary(summary!, row, request, { exact: true });
      },
    ),
    { numRuns: 60 },
  );
});

gpuTest(
  "sample reads back less than 4 KB a row, with one copy and one map, and makes nothing",
  async ({
    device,
    pipelines,
  }) => {
    const made: string[] = [];
    const ofBuffer = device.createBuffer.bind(device);
    device.createBuffer = (of) => {
      made.push("buffer");
      const buffer = ofBuffer(of);
      const map = buffer.mapAsync.bind(buffer);
      buffer.mapAsync = (...range) => {
        made.push(`map of ${range[2]}`);
        return map(...range);
      };
      return buffer;
    };
    const ofGroup = device.createBindGroup.bind(device);
    device.createBindGroup = (of) => {
      made.push("bind group");
      return ofGroup(of);
    };
    const rows = Array.from({ length: 8 }, () => new Float32Array(300));
    const kernel = await open({ device, pipelines }, rows);
    made.length = 0;
    const bytes = kernel.bytes;
    const changes = [{ token: 1, divisor: 2, added: 1 }];
    for (let i = 0; i < 3; i++) {
      await kernel.run(
        [0, 3, 7].map((row) => ({ row, request: { ...PLAIN, changes } })),
      );
    }
    assert(kernel.readback < 4096, `${kernel.readback} bytes a row`);
    assertEquals(made, Array(3).fill(`map of ${3 * kernel.readback}`));
    assertEquals(kernel.bytes, bytes);
  },
);

gpuTest(
  "sample refuses requests that are out of range, and a call during another",
  async (gpu) => {
    const row = new Float32Array(10);
    const kernel = await open(gpu, [row]);
    const change = { token: 1, divisor: 1, added: 0 };
    const wrong: RowRequest[] = [
      ...[{ temperature: 0 }, { temperature: NaN }, { temperature: Infinity }],
      ...[{ fraction: -0.1 }, { fraction: 1 }, { fraction: NaN }],
      ...[{ token: 10 }, { token: -1 }, { divisor: 0 }, { divisor: Infinity }]
        .map((part) => ({ changes: [{ ...change, ...part }] })),
      ...[{ added: NaN }, { added: Infinity }]
        .map((part) => ({ changes: [{ ...change, ...part }] })),
    ].map((part) => ({ row: 0, request: { ...PLAIN, ...part } }));
    wrong.push({ row: 1, request: PLAIN }, { row: -1, request: PLAIN });
    for (const request of wrong) {
      await assertRejects(() => kernel.run([request]), RangeError);
    }
    const good = { row: 0, request: PLAIN };
    await assertRejects(() => kernel.run([good, good]), RangeError);
    assertEquals(await kernel.run([]), []);
    const first = kernel.run([good]);
    await assertRejects(() => kernel.run([good]), Error, "has not ended");
    const [summary] = await first;
    assertSummary(summary!, row, PLAIN);
  },
);

gpuTest("sample rejects when the device is lost", async (gpu) => {
  const kernel = await open(gpu, [new Float32Array(10)]);
  const run = kernel.run([{ row: 0, request: PLAIN }]);
  gpu.device.destroy();
  await assertRejects(() => run);
  await assertRejects(() => kernel.run([{ row: 0, request: PLAIN }]));
});

async function open(
  { device, pipelines }: Gpu,
  rows: readonly Float32Array[],
): Promise<SampleKernel> {
  const vocabulary = rows[0]!.length;
  const all = new Float32Array(rows.length * vocabulary);
  for (const [i, row] of rows.entries()) all.set(row, i * vocabulary);
  return await SampleKernel.create(pipelines, {
    logits: upload(device, all),
    rows: rows.length,
    vocabulary,
    changes: rows.length,
  });
}

/**
 * Throws unless the summary is the twin's: sums within 2 millionths and f32's rounding of logits, a draw that a fraction as close would give, and
 * the same candidates, but that rounding may exchange those that a change was divided for.
 */
function assertSummary(
  actual: LogitSummary,
  logits: Float32Array,
  request: SummaryRequest,
  { exact = request.changes.length === 0 }: { exact?: boolean } = {},
): void {
  const expected = summarise(logits, request);
  const changed = changeLogits(logits, request.changes);
  for (const sum of ["logSum", "temperedLogSum"] as const) {
    const tolerance = 2e-6 + 1e-7 * Math.abs(expected[sum]);
    assertAlmostEquals(actual[sum], expected[sum], tolerance, sum);
  }
  if (exact) assertSame(actual.tokens, expected.tokens);
  assertEquals(new Set(actual.tokens).size, expected.tokens.length);
  for (const [i, logit] of actual.logits.entries()) {
    assertLogit(logit, changed[actual.tokens[i]!]!);
    assertLogit(logit, expected.logits[i]!);
  }
  assertLogit(actual.drawn.logit, changed[actual.drawn.token]!);
  assertDrawn(actual, changed, request);
}

function assertLogit(actual: number, expected: number): void {
  if (actual === expected) return;
  assertAlmostEquals(actual, expected, 1e-6 * Math.max(1, Math.abs(expected)));
}

function assertDrawn(
  { drawn: { token } }: LogitSummary,
  changed: Float64Array,
  { fraction, temperature }: SummaryRequest,
): void {
  const max = Math.max(...changed);
  const weights = changed.map((logit) => Math.exp((logit - max) / temperature));
  const total = weights.reduce((a, b) => a + b);
  let before = 0;
  for (let id = 0; id < token; id++) before += weights[id]! / total;
  const after = before + weights[token]! / total;
  assert(changed[token]! > -Infinity, `token ${token} cannot be drawn`);
  assert(
    before <= fraction + 2e-6 && after >= fraction - 2e-6,
    `token ${token} is drawn for ${before} to ${after}, not ${fraction}`,
  );
}
