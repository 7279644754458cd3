import { assertEquals, assertThrows } from "@std/assert";
import { planText } from "../../lib/plan/main.ts";
import { parsePlanOptions } from "../../lib/plan/options.ts";
import { temporaryDirectory } from "../models/_fixtures.ts";
import { ggufOf, LLAMA_3_70B } from "./headers.ts";

const DEFAULTS = {
  model: "default",
  sinks: 4,
  systemSinks: 256,
  window: 1020,
  lazyLayers: "auto",
  memory: 384 * 2 ** 20,
} as const;

function parse(...args: string[]) {
  return parsePlanOptions(args, DEFAULTS);
}

/** What the program prints of a model like Llama-3-70B. */
async function print(...args: string[]): Promise<string> {
  await using directory = await temporaryDirectory();
  const path = directory.file("big.gguf");
  await Deno.writeFile(path, ggufOf(LLAMA_3_70B));
  const from = { directory: directory.path };
  return (await planText(parse(path, ...args), from))
    .replaceAll(path, "big.gguf");
}

Deno.test("what the command line does not say is as the server is set up", () => {
  assertEquals(parse(), {
    help: false,
    json: false,
    model: "default",
    policies: [
      "full",
      "window",
      "sink-window",
      "window-recompute",
      "simplayer",
    ],
    tokens: 4096,
    streams: 1,
    sinks: 4,
    window: 1020,
    lazyLayers: "auto",
    memory: 384 * 2 ** 20,
  });
  const pinned = parsePlanOptions([], { ...DEFAULTS, sinks: "system" });
  assertEquals(pinned.sinks, 256);
});

Deno.test("the command line goes before how the server is set up", () => {
  const { model, tokens, streams, sinks, window, ...rest } = parse(
    ..."m.gguf --tokens 9 --streams 3 --sinks 0 --window 7 --memory 2GiB".split(
      " ",
    ),
    "--policy=sink-window,full",
    "--lazy=12",
  );
  const { lazyLayers, memory, policies } = rest;
  assertEquals([model, tokens, streams], ["m.gguf", 9, 3]);
  assertEquals([sinks, window, lazyLayers, memory], [0, 7, 12, 2 ** 31]);
  assertEquals(policies, ["full", "sink-window"]);
});

for (
  const wrong of [
    ["--tokens", "0"],
    ["--tokens", "1e3"],
    ["--streams", "-1"],
    ["--policy", "lazy"],
    ["--memory", "much"],
    ["--window", "0"],
    ["--lazy", "most"],
    ["a.gguf", "b.gguf"],
  ]
) {
  Deno.test(`${wrong.join(" ")} is refused`, () => {
    assertThrows(() => parse(...wrong), Error);
  });
}

Deno.test("a table says what each policy and precision takes", async () => {
  const text = await print(
    "--tokens=128000",
    "--streams=4",
    "--memory=640GiB",
    "--policy=full",
  );
  assertEquals(
    text,
    `big.gguf: 80 layers, keys and values of 8 heads (64 ask) of 128 values
conversations of 128,000 tokens; 4 sinks, a window of 1,020, 40 lazy layers

policy   rows  kv_bits               engines    keeps  a token  a conversation  4 of them  fit in 640 GiB
full      f32       32          native, wasm  128,000  640 KiB       78.13 GiB  312.5 GiB               8
full    int16       16          native, wasm  128,000  325 KiB       39.71 GiB  158.8 GiB              16
full     int8        8  native, wasm, webgpu  128,000  165 KiB       20.18 GiB  80.72 GiB              31
full     int4        4  native, wasm, webgpu  128,000   85 KiB       10.42 GiB  41.66 GiB              61
full      f32       32                webgpu  128,000  640 KiB       78.13 GiB  312.5 GiB               8
full      f16       16                webgpu  128,000  320 KiB       39.06 GiB  156.3 GiB              16`,
  );
});

Deno.test("JSON says the same, in bytes", async () => {
  const plan = JSON.parse(await print("--json", "--policy=sink-window"));
  assertEquals(plan.object, "everstream.plan");
  assertEquals([plan.model, plan.layers, plan.kv_heads], ["big.gguf", 80, 8]);
  assertEquals(plan.caches[0], {
    policy: "sink-window",
    precision: "f32",
    kv_bits: 32,
    engines: ["native", "wasm"],
    capacity: 1024,
    bytes_per_token: 655_360,
    bytes: 1024 * 655_360,
    bytes_in_all: 1024 * 655_360,
    fit: 0,
  });
  assertEquals(
    plan.caches.map(({ precision }: { precision: string }) => precision),
    ["f32", "int16", "int8", "int4", "f32", "f16"],
  );
  assertEquals(plan.left_out, []);
});
