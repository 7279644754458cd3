import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { readShape } from "../../lib/plan/read_shape.ts";
import { MAX_HEADER_BYTES } from "../../lib/weights/gguf_header.ts";
import { WeightFileError } from "../../lib/weights/weight_file_error.ts";
import { temporaryDirectory } from "../models/_fixtures.ts";
import { type FileServerOptions, serveFile } from "./file_server.ts";
import { ggufOf, LLAMA_3_70B } from "./headers.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MIB = 2 ** 20;
const SHAPE = { layers: 80, heads: 64, kvHeads: 8, headDim: 128 };
const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 8192,
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  vocab_size: 128_256,
};
/** More than a server gets rid of before its client stops reading: sockets hold some megabytes. */
const UNREAD = 16 * MIB;
const NOWHERE = { directory: "/nonexistent" };

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Serves bytes as `name`, and reads the shape there. */
async function readServed(
  bytes: Uint8Array<ArrayBuffer>,
  name: string,
  options: FileServerOptions & { timeoutMs?: number } = {},
) {
  await using server = serveFile(bytes, options);
  const result = await readShape(`${server.url}/${name}`, {
    ...NOWHERE,
    timeoutMs: options.timeoutMs,
  }).then((shape) => ({ shape }), (error: Error) => ({ error }));
  const { sent, requests } = server;
  return { shape: undefined, error: undefined, ...result, sent, requests };
}

Deno.test("a file on this machine is read by its header", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.file("large.gguf");
  await Deno.writeFile(path, ggufOf(LLAMA_3_70B, { vocabulary: 100 }));
  assertEquals(await readShape(path, NOWHERE), SHAPE);
  const config = directory.file("config.json");
  await Deno.writeFile(config, json(CONFIG));
  assertEquals(await readShape(config, NOWHERE), SHAPE);
});

Deno.test("of a file on a server only the beginning is fetched", async () => {
  const file = ggufOf(LLAMA_3_70B, { vocabulary: 1000, data: 20 * MIB });
  const { shape, sent, requests } = await readServed(file, "model.gguf?a=b");
  assertEquals(shape, SHAPE);
  assertEquals(requests.map(({ range }) => range), ["bytes=0-1048575"]);
  assertEquals(sent, MIB);
});

Deno.test("a large header is fetched range by range, none of it twice", async () => {
  const file = ggufOf(LLAMA_3_70B, { vocabulary: 200_000, data: 20 * MIB });
  const { shape, sent, requests } = await readServed(file, "model.gguf");
  assertEquals(shape, SHAPE);
  assertEquals(requests.map(({ range }) => range), [
    "bytes=0-1048575",
    "bytes=1048576-2097151",
    "bytes=2097152-4194303",
  ]);
  assertEquals(sent, 4 * MIB);
});

Deno.test("a small file on a server is fetched whole", async () => {
  const file = ggufOf(LLAMA_3_70B);
  const { shape, sent } = await readServed(file, "model.gguf");
  assertEquals(shape, SHAPE);
  assertEquals(sent, file.length);
});

Deno.test("a config.json on a server is read", async () => {
  const { shape } = await readServed(json(CONFIG), "config.json");
  assertEquals(shape, SHAPE);
});

Deno.test("a reference to the hub is asked of the hub, unless the file is here", async () => {
  await using directory = await temporaryDirectory();
  await using hub = serveFile(ggufOf(LLAMA_3_70B));
  const options = { directory: directory.path, hubUrl: hub.url };
  const reference = "hf:ada/big/sub/Big #1.gguf@refs/pr/1";
  assertEquals(await readShape(reference, options), SHAPE);
  assertEquals(
    hub.requests.map(({ path }) => path),
    ["/ada/big/resolve/refs%2Fpr%2F1/sub/Big%20%231.gguf"],
  );
  const here = join(directory.path, "ada", "big");
  await Deno.mkdir(here, { recursive: true });
  await Deno.writeFile(join(here, "Big.gguf"), ggufOf(LLAMA_3_70B));
  assertEquals(await readShape("hf:ada/big/Big.gguf", options), SHAPE);
  assertEquals(hub.requests.length, 1);
});

Deno.test("a server that ignores ranges is not read from", async () => {
  const file = ggufOf(LLAMA_3_70B, { data: 40 * MIB });
  for (const endless of [false, true]) {
    const { error, sent } = await readServed(file, "model.gguf", {
      ignoresRange: true,
      endless,
    });
    assert(error?.message.includes("does not answer range requests"));
    assert(sent < UNREAD, `${sent} bytes were sent`);
  }
});

Deno.test("of a config.json without end no more than a bound is read", async () => {
  const { error, sent } = await readServed(json(CONFIG), "config.json", {
    endless: true,
  });
  assert(error?.message.includes("is over 1048576 bytes"), error?.message);
  assert(sent < UNREAD, `${sent} bytes were sent`);
});

Deno.test("of a header without end no more than a bound is fetched", async () => {
  const file = ggufOf({
    ...LLAMA_3_70B,
    text: "x".repeat(MAX_HEADER_BYTES),
  }, { data: 8 * MIB });
  const { error, sent } = await readServed(file, "model.gguf");
  assert(error instanceof WeightFileError, error?.message);
  assert(error.message.includes("larger than"), error.message);
  assert(sent <= MAX_HEADER_BYTES, `${sent} bytes were sent`);
});

Deno.test("a header that lies about its counts costs one request", async () => {
  const file = ggufOf(LLAMA_3_70B, { data: 2 * MIB });
  const view = new DataView(file.buffer);
  view.setBigUint64(16, 90_000n, true); // keys
  const { error, requests } = await readServed(file, "model.gguf");
  assert(error instanceof WeightFileError, error?.message);
  assertEquals(requests.length, 1);
});

const ANSWERS: Record<string, FileServerOptions> = {
  "another range": {
    contentRange: (start, end, total) =>
      `bytes ${start + 1}-${end - 1}/${total}`,
  },
  "a size beyond counting": {
    contentRange: (start, end) =>
      `bytes ${start}-${end - 1}/1${"0".repeat(20)}`,
  },
  "no range": { contentRange: () => "nonsense" },
  "a range without the size": {
    contentRange: (start, end) => `bytes ${start}-${end - 1}/*`,
  },
  "less than it says": { sends: (length) => length - 1 },
  "more than it says": { sends: (length) => length + 1 },
  "a size that changes": {
    contentRange: (start, end, total) =>
      `bytes ${start}-${end - 1}/${total + start}`,
  },
};

for (const [what, options] of Object.entries(ANSWERS)) {
  Deno.test(`a server that sends ${what} is not believed`, async () => {
    const file = ggufOf(LLAMA_3_70B, { vocabulary: 200_000, data: 8 * MIB });
    const { error, sent } = await readServed(file, "model.gguf", options);
    assert(error !== undefined);
    assert(sent <= 3 * MIB, `${sent} bytes were sent`);
  });
}

Deno.test("a server that never answers is given up", async () => {
  const options = { silent: true, timeoutMs: 50 };
  const { error } = await readServed(json(CONFIG), "config.json", options);
  assert(error?.message.includes("no answer within 0.05 s"), error?.message);
});

Deno.test("what is not there is an error that names it", async () => {
  await assertRejects(
    () => readShape("/nonexistent/model.gguf", NOWHERE),
    Error,
    "/nonexistent/model.gguf",
  );
  await assertRejects(
    () => readShape("/nonexistent/config.json", NOWHERE),
    Error,
    "/nonexistent/config.json",
  );
  await assertRejects(() => readShape("", NOWHERE), SyntaxError);
});

const WRONG: Record<string, Record<string, unknown>> = {
  "another architecture": { "general.architecture": "mamba" },
  "no layers": { "llama.block_count": 0 },
  "heads that do not divide": { "llama.attention.head_count_kv": 7 },
  "KV heads for each layer": { "llama.attention.head_count_kv": [8, 8, 4] },
  "heads of nothing": { "llama.attention.key_length": 0 },
  "no numbers but text": { "llama.block_count": "eighty" },
};

for (const [what, metadata] of Object.entries(WRONG)) {
  Deno.test(`a header with ${what} is refused`, async () => {
    const file = ggufOf({ ...LLAMA_3_70B, ...metadata as typeof LLAMA_3_70B });
    const { error } = await readServed(file, "model.gguf");
    assert(
      error instanceof TypeError || error instanceof WeightFileError,
      `${error}`,
    );
  });
}
