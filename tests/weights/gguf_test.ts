import { assertEquals, assertRejects } from "@std/assert";
import { type GgufFile, openGguf } from "../../lib/weights/gguf.ts";
import { WeightFileError } from "../../lib/weights/weight_file_error.ts";
import { float32Bytes, type GgufSpec, writeGguf } from "./gguf_writer.ts";

const MATRIX = Uint8Array.from({ length: 3 * 36 }, (_, i) => i);

async function withGguf(
  spec: GgufSpec,
  use: (file: GgufFile) => void | Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    await writeGguf(path, spec);
    using file = await openGguf(path);
    await use(file);
  } finally {
    await Deno.remove(path);
  }
}

const SPEC: GgufSpec = {
  tensors: [
    { name: "norm", shape: [3], type: "F32", data: float32Bytes([1, -2, 0.5]) },
    { name: "matrix", shape: [3, 64], type: "Q4_0", data: MATRIX },
    {
      name: "cube",
      shape: [2, 3, 4],
      type: "F16",
      data: MATRIX.subarray(0, 48),
    },
  ],
};

Deno.test("metadata of every type reads back", async () => {
  const metadata = {
    "a.u8": { type: "u8", value: 255 },
    "a.i8": { type: "i8", value: -128 },
    "a.u16": { type: "u16", value: 65535 },
    "a.i16": { type: "i16", value: -32768 },
    "a.u32": 4294967295,
    "a.i32": -5,
    "a.f32": 0.5,
    "a.f64": { type: "f64", value: 0.1 },
    "a.u64": 2n ** 40n,
    "a.i64": { type: "i64", value: -7 },
    "a.bool": true,
    "a.string": "naïve ✓",
    "a.strings": ["", "Ġthe", "\u0000"],
    "a.numbers": [1, 2.5],
    "a.bools": [true, false],
    "a.none": [],
    // What the library adds to the metadata itself must not hide a file's own.
    "version": 9,
  } as const;
  await withGguf({ metadata }, (file) => {
    const { metadata: read } = file;
    assertEquals(
      ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "f64", "u64", "i64"].map((
        type,
      ) => read.number(`a.${type}`)),
      [255, -128, 65535, -32768, 4294967295, -5, 0.5, 0.1, 2 ** 40, -7],
    );
    assertEquals(read.boolean("a.bool"), true);
    assertEquals(read.string("a.string"), "naïve ✓");
    assertEquals(read.strings("a.strings"), ["", "Ġthe", "\u0000"]);
    assertEquals(read.numbers("a.numbers"), [1, 2.5]);
    assertEquals(read.booleans("a.bools"), [true, false]);
    assertEquals(read.numbers("a.none"), []);
    assertEquals(read.number("version"), 9);
    assertEquals([...read.keys()], Object.keys(metadata));
  });
});

Deno.test("tensors are listed with the outermost dimension first", async () => {
  await withGguf(SPEC, (file) => {
    const listed = [...file.tensors.values()].map((
      { name, shape, type, bytes },
    ) => [name, shape, type, bytes]);
    assertEquals(listed, [
      ["norm", [3], "F32", 12],
      ["matrix", [3, 64], "Q4_0", 108],
      ["cube", [2, 3, 4], "F16", 48],
    ]);
  });
});

Deno.test("a tensor's bytes and rows read back, many at a time", async () => {
  await withGguf(SPEC, async (file) => {
    const [norm, matrix, row, last, cubeRows, none] = await Promise.all([
      file.read("norm"),
      file.read("matrix"),
      file.readRows("matrix", 1, 1),
      file.readRows("norm", 0, 1),
      file.readRows("cube", 4, 2),
      file.readRows("matrix", 3, 0),
    ]);
    assertEquals(norm, float32Bytes([1, -2, 0.5]));
    assertEquals(matrix, MATRIX);
    assertEquals(row, MATRIX.slice(36, 72));
    assertEquals(last, norm);
    assertEquals(cubeRows, MATRIX.slice(32, 48));
    assertEquals(none.length, 0);
  });
});

Deno.test("rows that a tensor lacks are refused, and so is a tensor that the file lacks", async () => {
  await withGguf(SPEC, async (file) => {
    for (
      const [first, count] of [[0, 4], [3, 1], [-1, 1], [0, -1], [0.5, 1], [
        0,
        NaN,
      ]] as const
    ) {
      await assertRejects(
        () => file.readRows("matrix", first, count),
        RangeError,
        '"matrix": it has 3',
      );
    }
    await assertRejects(
      () => file.read("missing"),
      WeightFileError,
      'no tensor "missing"',
    );
    await assertRejects(
      () => file.readRows("missing", 0, 1),
      WeightFileError,
      '"missing"',
    );
  });
});

Deno.test("a file cut after it was opened fails the read and not the next one", async () => {
  await withGguf(SPEC, async (file) => {
    const { size } = await Deno.stat(file.path);
    await Deno.truncate(file.path, size - 40);
    await assertRejects(
      () => file.read("cube"),
      WeightFileError,
      'tensor "cube"',
    );
    assertEquals(await file.read("matrix"), MATRIX);
  });
});

Deno.test("the file's own alignment places its tensors", async () => {
  const spec = {
    ...SPEC,
    metadata: { "general.alignment": 256 },
    alignment: 256,
  };
  await withGguf(
    spec,
    async (file) => assertEquals(await file.read("matrix"), MATRIX),
  );
});

Deno.test("a token that begins with a byte-order mark keeps it", async () => {
  const metadata = {
    a: "\ufeffx",
    b: ["x", "\ufeff", "y"],
  };
  await withGguf({ metadata }, ({ metadata: read }) => {
    assertEquals(read.string("a"), "\ufeffx");
    assertEquals(read.strings("b"), ["x", "\ufeff", "y"]);
  });
});

Deno.test("long strings stay whole wherever they lie in the header", async () => {
  const long = "x".repeat(600_000);
  const longer = "y".repeat(900_000);
  await withGguf(
    {
      metadata: { a: [long, long, longer], b: long, c: long, d: longer, e: 5 },
      ...SPEC,
    },
    ({ metadata }) => {
      assertEquals(metadata.strings("a").map((text) => text.length), [
        6e5,
        6e5,
        9e5,
      ]);
      assertEquals(["b", "c", "d"].map((key) => metadata.string(key).length), [
        6e5,
        6e5,
        9e5,
      ]);
      assertEquals(metadata.number("e"), 5);
    },
  );
});

Deno.test("disposing twice is harmless and reading afterwards fails", async () => {
  const path = await Deno.makeTempFile();
  await writeGguf(path, SPEC);
  const file = await openGguf(path);
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  await assertRejects(() => file.read("norm"));
  await Deno.remove(path);
});
