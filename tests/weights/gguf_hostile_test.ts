import fc from "fast-check";
import { assert, assertRejects } from "@std/assert";
import { openGguf } from "../../lib/weights/gguf.ts";
import { MAX_HEADER_BYTES } from "../../lib/weights/gguf_header.ts";
import { WeightFileError } from "../../lib/weights/weight_file_error.ts";
import {
  encodeGguf,
  float32Bytes,
  type GgufSpec,
  type GgufTensorSpec,
} from "./gguf_writer.ts";

const SMALL: GgufSpec = {
  metadata: {
    "general.architecture": "llama",
    "tokens": ["a", "bc", ""],
    "eps": 1e-5,
  },
  tensors: [
    { name: "norm", shape: [4], type: "F32", data: float32Bytes([1, 2, 3, 4]) },
    { name: "matrix", shape: [2, 32], type: "Q8_0", data: new Uint8Array(68) },
  ],
};
/** The file of SMALL ends with this much padding, which it can do without. */
const PADDING = 96 - 68;

async function withBytes<T>(
  bytes: Uint8Array,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    await Deno.writeFile(path, bytes);
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

/** Checks that the bytes are refused at once, with an error that names the file and the culprit. */
async function assertRefused(
  bytes: Uint8Array,
  ...culprits: string[]
): Promise<void> {
  await withBytes(bytes, async (path) => {
    const start = performance.now();
    const error = await assertRejects(
      () => openGguf(path),
      WeightFileError,
      `${path}: `,
    );
    for (const culprit of culprits) {
      assert(
        error.message.includes(culprit),
        `"${error.message}" does not name ${culprit}`,
      );
    }
    assert(performance.now() - start < 10_000, "took ten seconds or more");
  });
}

/** SMALL's bytes with 4-byte words put in: offset in bytes → value. */
function patched(words: Readonly<Record<number, number>>): Uint8Array {
  const bytes = encodeGguf(SMALL);
  const view = new DataView(bytes.buffer);
  for (const [at, word] of Object.entries(words)) {
    view.setUint32(Number(at), word, true);
  }
  return bytes;
}

function withTensor(tensor: Partial<GgufTensorSpec>): Uint8Array {
  const culprit = {
    name: "culprit",
    shape: [2, 32],
    type: "Q8_0",
    data: new Uint8Array(68),
  } as const;
  return encodeGguf({
    ...SMALL,
    tensors: [...SMALL.tensors!, { ...culprit, ...tensor }],
  });
}

Deno.test("a file cut anywhere is refused", async () => {
  const bytes = encodeGguf(SMALL);
  for (let length = 0; length < bytes.length - PADDING; length++) {
    await assertRefused(bytes.subarray(0, length));
  }
  await withBytes(bytes.subarray(0, bytes.length - PADDING), async (path) => {
    (await openGguf(path))[Symbol.dispose]();
  });
});

Deno.test("what is not a little-endian GGUF file of version 2 or 3 is refused", async () => {
  await assertRefused(new Uint8Array(0), "not a GGUF file");
  await assertRefused(new Uint8Array(1000), "not a GGUF file");
  await assertRefused(patched({ 0: 0x67676d6c }), "not a GGUF file", "lmgg");
  await assertRefused(patched({ 4: 0x03000000 }), "big-endian");
  await assertRefused(patched({ 4: 1 }), "version 1");
  await assertRefused(patched({ 4: 4 }), "version 4");
});

Deno.test("what is not a regular file is refused", async () => {
  const directory = await Deno.makeTempDir();
  await assertRejects(
    () => openGguf(directory),
    WeightFileError,
    "not a regular file",
  );
  const missing = `${directory}/missing.gguf`;
  await assertRejects(
    () => openGguf(missing),
    WeightFileError,
    `${missing}: cannot be opened`,
  );
  await Deno.remove(directory);
});

Deno.test("counts that the file cannot hold are refused", async () => {
  await assertRefused(
    patched({ 8: 0xffffffff, 12: 0xffffffff }),
    "tensor count",
  );
  await assertRefused(patched({ 8: 90_000 }), "tensor count 90000 runs past");
  await assertRefused(
    patched({ 16: 0xffffffff, 20: 0x7fffffff }),
    "metadata key count",
  );
  await assertRefused(
    patched({ 16: 90_000 }),
    "metadata key count 90000 runs past",
  );
  await assertRefused(
    patched({ 24: 60_000 }),
    "metadata key number 0",
    "name length 60000 runs past",
  );
  await assertRefused(
    patched({ 24: 0xffffffff, 28: 0xffffffff }),
    "metadata key number 0",
  );
});

Deno.test("metadata values that the file cannot hold are refused by their key", async () => {
  const type = 24 + 8 + "general.architecture".length;
  await assertRefused(
    patched({ [type]: 13 }),
    '"general.architecture"',
    "value type 13",
  );
  await assertRefused(
    patched({ [type + 4]: 900_000 }),
    '"general.architecture"',
    "900000 runs past",
  );
  await assertRefused(
    patched({ [type + 8]: 1 }),
    '"general.architecture"',
    "string length 4294967301",
  );
  const array = type + 4 + 8 + "llama".length + 8 + "tokens".length + 4;
  await assertRefused(patched({ [array]: 99 }), '"tokens"', "element type 99");
  await assertRefused(
    patched({ [array + 4]: 900_000 }),
    '"tokens"',
    "array length 900000 runs past",
  );
  await assertRefused(
    patched({ [array + 4]: 0xffffffff }),
    '"tokens"',
    "array length 4294967295",
  );
  await assertRefused(
    patched({ [array + 12]: 70_000 }),
    '"tokens"',
    "string length 70000 runs past",
  );
});

Deno.test("an array of arrays is refused by its key", async () => {
  await assertRefused(
    encodeGguf({ metadata: { deep: [["x"]] } }),
    '"deep"',
    "arrays of arrays",
  );
});

Deno.test("a header past the limit is refused by the key that goes past it", async () => {
  const bytes = encodeGguf({
    metadata: { text: "x".repeat(MAX_HEADER_BYTES) },
  });
  await assertRefused(bytes, '"text"', "larger than the 32000000 bytes");
});

Deno.test("keys that come twice, or would reach an object's prototype, are refused", async () => {
  const bytes = encodeGguf({ metadata: { "aaaa": 1, "aaab": 2 } });
  bytes[bytes.findLastIndex((byte) => byte === 0x62)] = 0x61;
  await assertRefused(bytes, 'metadata key "aaaa": stated twice');
  await assertRefused(
    encodeGguf({ metadata: { ["__proto__"]: [1] } }),
    '"__proto__"',
  );
});

Deno.test("an alignment that is no power of two is refused", async () => {
  for (
    const alignment of [0, 3, 48, -32, 0.5, "32", 2n ** 40n, 2n ** 63n, [32]]
  ) {
    const metadata = { "general.alignment": alignment };
    await assertRefused(
      encodeGguf({ ...SMALL, metadata }),
      "general.alignment",
    );
  }
});

Deno.test("a piece of a split model is refused", async () => {
  const split = encodeGguf({
    metadata: { "split.count": { type: "u16", value: 3 } },
  });
  await assertRefused(split, '"split.count"', "merge");
});

Deno.test("a tensor's shape must be possible", async () => {
  const bad = 'tensor "culprit"';
  await assertRefused(withTensor({ shape: [] }), bad, "has 0");
  await assertRefused(withTensor({ shape: [1, 1, 1, 1, 32] }), bad, "has 5");
  await assertRefused(withTensor({ shape: [0, 32] }), bad, "dimension of 0");
  await assertRefused(
    withTensor({ shape: [2, -32] }),
    bad,
    "dimension of 18446744073709552000",
  );
  await assertRefused(withTensor({ shape: [2n ** 62n, 32] }), bad, "dimension");
  await assertRefused(withTensor({ shape: [3000, 3000, 3000, 3200] }), bad);
  await assertRefused(
    withTensor({ shape: [64, 32], data: new Uint8Array(68) }),
    bad,
    "run past",
  );
  await assertRefused(
    withTensor({ shape: [4, 16] }),
    bad,
    "[4,16]",
    "multiple of 32",
  );
  await assertRefused(
    withTensor({ shape: [1, 128], type: "Q6_K" }),
    bad,
    "multiple of 256",
  );
});

Deno.test("a product of dimensions past 2^53 is refused", async () => {
  const big = {
    name: "filler",
    shape: [8192],
    type: "F32",
    data: new Uint8Array(32768),
  } as const;
  const shape = [100_000, 100_000, 100_000, 32];
  const culprit = {
    name: "culprit",
    shape,
    type: "Q8_0",
    data: new Uint8Array(68),
  } as const;
  await assertRefused(
    encodeGguf({ tensors: [big, culprit] }),
    '"culprit"',
    "too many weights",
  );
});

Deno.test("a tensor's data must lie in the file, apart from the others'", async () => {
  const bad = 'tensor "culprit"';
  await assertRefused(withTensor({ offset: 320 }), bad, "run past");
  await assertRefused(withTensor({ offset: 2n ** 63n }), bad, "run past");
  await assertRefused(withTensor({ offset: -32 }), bad, "run past");
  await assertRefused(
    withTensor({ offset: 136 }),
    bad,
    "no multiple of the alignment 32",
  );
  await assertRefused(withTensor({ offset: 64 }), bad, "overlaps", '"matrix"');
  await assertRefused(withTensor({ offset: 0 }), "overlaps", '"norm"');
});

Deno.test("a tensor of an unsupported type is refused by the type's name", async () => {
  await assertRefused(
    withTensor({ type: 10 }),
    '"culprit"',
    "type Q2_K",
    "F32, F16, BF16, Q8_0",
  );
  await assertRefused(withTensor({ type: 4 }), '"culprit"', "number 4");
  await assertRefused(
    withTensor({ type: 0xffffffff }),
    '"culprit"',
    "number 4294967295",
  );
});

Deno.test("a tensor that comes twice is refused", async () => {
  await assertRefused(
    withTensor({ name: "norm" }),
    'tensor "norm": stated twice',
  );
});

Deno.test("bytes changed at random never do worse than a WeightFileError", async () => {
  const whole = encodeGguf(SMALL);
  const change = fc.tuple(
    fc.nat(whole.length - 1),
    fc.integer({ min: 0, max: 255 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const bytes = whole.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        await withBytes(bytes, async (path) => {
          try {
            using file = await openGguf(path);
            for (const name of file.tensors.keys()) await file.read(name);
          } catch (error) {
            if (!(error instanceof WeightFileError)) throw error;
          }
        });
      },
    ),
    { numRuns: 500 },
  );
});
