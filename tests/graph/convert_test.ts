import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromBinary } from "@bufbuild/protobuf";
import { dirname, join } from "node:path";
import type { AttentionKind } from "../../lib/graph/attention/attention_kind.ts";
import { FusedGroupedQueryAttention } from "../../lib/graph/attention/fused_grouped_query.ts";
import { GroupedQueryAttention } from "../../lib/graph/attention/grouped_query.ts";
import type { DecoderShape } from "../../lib/graph/decoder_shape.ts";
import {
  type DecoderGraph,
  openDecoderGraph,
  planDecoder,
} from "../../lib/graph/convert.ts";
import type { LinearLowering } from "../../lib/graph/linear.ts";
import { ModelProtoSchema } from "../../lib/graph/onnx_pb.ts";
import { openGguf } from "../../lib/weights/gguf.ts";
import {
  metadataOf,
  SMALL,
  type SmallModel,
  tensorsOf,
  writeSmallModel,
} from "../reference/small_model.ts";
import { type GgufSpec, writeGguf } from "../weights/gguf_writer.ts";

const DENSE: LinearLowering = { kind: "dense" };

function attention(shape: DecoderShape): AttentionKind {
  return new GroupedQueryAttention(shape, { blocks: 2 });
}

async function convert(
  model: SmallModel,
  { lowering = DENSE, sha256 = model.sha256, kind = attention }: {
    lowering?: LinearLowering;
    sha256?: string;
    kind?: (shape: DecoderShape) => AttentionKind;
  } = {},
) {
  using file = await openGguf(model.path);
  const plan = await planDecoder(file, kind);
  return await openDecoderGraph(
    { file, plan, sha256 },
    lowering,
    join(model.directory, "graphs"),
  );
}

async function namesIn(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) =>
    name
  );
}

Deno.test("a graph is converted once for each file and lowering", async () => {
  await using model = await writeSmallModel({ types: { query: "Q8_0" } });
  const first = await convert(model);
  const times = async () =>
    await Promise.all(
      [first.graph, first.weights].map(async (path) =>
        (await Deno.stat(path)).mtime!.getTime()
      ),
    );
  await Promise.all(
    [first.graph, first.weights].map((path) => Deno.utime(path, 1000, 1000)),
  );
  assertEquals(await convert(model), first);
  assertEquals(await times(), [1_000_000, 1_000_000]);

  using file = await openGguf(model.path);
  const unread = {
    ...file,
    read: () => Promise.reject(new Error("read again")),
  };
  const source = {
    file: unread,
    plan: await planDecoder(file, attention),
    sha256: model.sha256,
  };
  assertEquals(
    await openDecoderGraph(source, DENSE, join(model.directory, "graphs")),
    first,
  );

  const others = [
    await convert(model, { lowering: { kind: "blocks", accuracyLevel: 4 } }),
    await convert(model, { lowering: { kind: "blocks", accuracyLevel: 0 } }),
    await convert(model, { sha256: "6".repeat(64) }),
  ];
  assertEquals(new Set([first, ...others].map(({ graph }) => graph)).size, 4);
  assertEquals(await times(), [1_000_000, 1_000_000]);
});

Deno.test("fused attention over f32, over f16, and attention over blocks are graphs of their own", async () => {
  await using model = await writeSmallModel();
  const kinds = [
    attention,
    (shape: DecoderShape) => new FusedGroupedQueryAttention(shape, "float32"),
    (shape: DecoderShape) => new FusedGroupedQueryAttention(shape, "float16"),
  ];
  const dispatches = { kind: "dispatches" } as const;
  const directories = new Set<string>();
  for (const kind of kinds) {
    for (const lowering of [dispatches, DENSE]) {
      const { graph } = await convert(model, { lowering, kind });
      directories.add(dirname(graph));
    }
  }
  assertEquals(directories.size, 6);
});

Deno.test("two conversions at once give one graph", async () => {
  await using model = await writeSmallModel();
  const [a, b] = await Promise.all([convert(model), convert(model)]);
  assertEquals(a, b);
  assertEquals((await namesIn(join(model.directory, "graphs"))).length, 1);
});

Deno.test("weights lie aligned, inside the file, and over one another nowhere", async () => {
  for (const odd of [{ hidden: 36, feedForward: 97 }, { vocabulary: 97 }]) {
    await using model = await writeSmallModel({
      ...odd,
      types: "vocabulary" in odd ? { value: "Q4_1", head: "Q8_0" } : {},
    });
    await checkWeights(
      await convert(model, { lowering: { kind: "blocks", accuracyLevel: 4 } }),
    );
  }
});

async function checkWeights({ graph, weights }: DecoderGraph): Promise<void> {
  const proto = fromBinary(ModelProtoSchema, await Deno.readFile(graph));
  const spans = proto.graph!.initializer.filter((tensor) =>
    tensor.externalData.length > 0
  ).map(
    (tensor) => {
      const entry = (key: string) =>
        tensor.externalData.find((entry) => entry.key === key)!.value;
      assertEquals(entry("location"), "weights.bin");
      const width = tensor.dataType === 1 ? 4 : 1;
      const bytes = tensor.dims.reduce(
        (product, dim) => product * Number(dim),
        width,
      );
      assertEquals(Number(entry("length")), bytes, tensor.name);
      return {
        offset: Number(entry("offset")),
        end: Number(entry("offset")) + bytes,
      };
    },
  );
  assert(spans.length > 8);
  let end = 0;
  for (const span of spans) {
    assertEquals(span.offset % 64, 0);
    assert(span.offset >= end);
    end = span.end;
  }
  assertEquals((await Deno.stat(weights)).size, end);
}

Deno.test("a conversion that fails leaves nothing behind", async () => {
  await using model = await writeSmallModel();
  const tensors = tensorsOf(SMALL).filter(({ name }) =>
    name !== "blk.1.ffn_up.weight"
  );
  await writeGguf(model.path, { metadata: metadataOf(SMALL), tensors });
  await assertRejects(() => convert(model), TypeError, '"blk.1.ffn_up.weight"');
  assertEquals(await namesIn(join(model.directory, "graphs")), []);
});

function specOfSmall() {
  return { metadata: metadataOf(SMALL), tensors: tensorsOf(SMALL) };
}

/** A model's file with some of it replaced. */
function changed(
  change: (spec: ReturnType<typeof specOfSmall>) => void,
): GgufSpec {
  const spec = {
    metadata: metadataOf(SMALL),
    tensors: tensorsOf(SMALL),
    alignment: 32,
  };
  change(spec);
  return spec;
}

const WRONG: Record<string, [message: string, spec: GgufSpec]> = {
  "an unknown architecture": [
    'architecture "mamba"',
    changed((spec) =>
      Object.assign(spec.metadata, { "general.architecture": "mamba" })
    ),
  ],
  "a matrix of the wrong shape": [
    '"blk.0.attn_k.weight": [64, 64] is needed, it is [32, 64]',
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.attention.head_count_kv": 4 })
    ),
  ],
  "a missing norm": [
    '"output_norm.weight": [64] is needed, it is missing',
    changed(({ tensors }) => {
      const list = tensors as { name: string }[];
      list.splice(
        list.findIndex(({ name }) => name === "output_norm.weight"),
        1,
      );
    }),
  ],
  "heads that key heads do not divide": [
    "4 heads over 3",
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.attention.head_count_kv": 3 })
    ),
  ],
  "no layers": [
    "llama.block_count",
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.block_count": 0 })
    ),
  ],
  "no key heads": [
    "head_count_kv",
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.attention.head_count_kv": 0 })
    ),
  ],
  "an odd number of rotated dimensions": [
    "rotate 5 dimensions of 16",
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.rope.dimension_count": 5 })
    ),
  ],
  "positions scaled by what is not known": [
    '"yarn"',
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.rope.scaling.type": "yarn" })
    ),
  ],
  "positions scaled by nothing": [
    "llama.rope.scaling.factor",
    changed(({ metadata }) =>
      Object.assign(metadata, {
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 0,
      })
    ),
  ],
  "no base of frequencies": [
    "llama.rope.freq_base",
    changed(({ metadata }) =>
      Object.assign(metadata, { "llama.rope.freq_base": 0 })
    ),
  ],
};

for (const [what, [message, spec]] of Object.entries(WRONG)) {
  Deno.test(`a file with ${what} is refused with a message that says so`, async () => {
    await using model = await writeSmallModel();
    await writeGguf(model.path, spec);
    await assertRejects(() => convert(model), TypeError, message);
  });
}
