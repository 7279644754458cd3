import { assert, assertEquals, assertThrows } from "@std/assert";
import { digestOf } from "../lib/access/keys.ts";
import { readConfig } from "../lib/config.ts";

const read = (variables: Record<string, string>) =>
  readConfig({ get: (name) => ({ HOME: "/tmp", ...variables })[name] });

Deno.test("bytes are a number with or without a unit", () => {
  const bytes = (text: string) => read({ EVERSTREAM_MEMORY: text }).memory;
  assertEquals(bytes("5000"), 5000);
  assertEquals(bytes("7B"), 7);
  assertEquals(bytes("3kB"), 3000);
  assertEquals(bytes("3KiB"), 3072);
  assertEquals(bytes("2MB"), 2_000_000);
  assertEquals(bytes("2MiB"), 2 * 1024 * 1024);
  assertEquals(bytes("1GB"), 1e9);
  assertEquals(bytes("1GiB"), 2 ** 30);
  assertEquals(read({}).memory, 384 * 2 ** 20);
});

Deno.test("what makes no sense is refused by name", () => {
  for (
    const [name, value] of [
      ["EVERSTREAM_MEMORY", "much"],
      ["EVERSTREAM_MEMORY", "1 GB"],
      ["EVERSTREAM_MEMORY", "-1"],
      ["EVERSTREAM_MEMORY", "99999999GiB"],
      ["EVERSTREAM_SWAP", "1KB"],
      ["EVERSTREAM_QUEUE", "-1"],
      ["EVERSTREAM_QUEUE_SECONDS", "0"],
      ["EVERSTREAM_ANSWER_SECONDS", "1.5"],
      ["EVERSTREAM_GPU", "fast"],
      ["EVERSTREAM_EVICT", "page"],
      ["EVERSTREAM_GPU_ROWS", "f64"],
      ["EVERSTREAM_KV_BITS", "32,7"],
      ["EVERSTREAM_KV_BITS", "8,8"],
      ["EVERSTREAM_KV_BITS", "32,"],
      ["EVERSTREAM_LAZY_LAYERS", "half"],
      ["EVERSTREAM_LAZY_LAYERS", "-1"],
      ["EVERSTREAM_LAZY_LAYERS", "1.5"],
      ["EVERSTREAM_SNAPSHOT_BYTES", "some"],
    ] as const
  ) {
    assertThrows(
      () => read({ [name]: value }),
      RangeError,
      `${name}="${value}"`,
    );
  }
});

Deno.test("limits are what they are set to, in milliseconds and bytes", () => {
  const { limits } = read({
    EVERSTREAM_MAX_TOKENS: "7",
    EVERSTREAM_QUEUE: "0",
    EVERSTREAM_QUEUE_SECONDS: "2",
    EVERSTREAM_ANSWER_SECONDS: "3",
    EVERSTREAM_SWAP: "0",
    EVERSTREAM_SHARED: "1MB",
  });
  assertEquals(limits, {
    maxTokens: 7,
    queue: 0,
    queueTimeout: 2000,
    answerTimeout: 3000,
    swapBytes: 0,
    sharedBytes: 1_000_000,
  });
});

Deno.test("requests may ask for every policy but the slow one, unless told otherwise", () => {
  const allowed = (variables: Record<string, string>) =>
    read(variables).policies.allowed;
  assertEquals(allowed({}), ["full", "window", "sink-window"]);
  assertEquals(
    allowed({ EVERSTREAM_POLICIES: "window-recompute,sink-window" }),
    ["window-recompute", "sink-window"],
  );
});

Deno.test("the policy of requests that do not say must be one that they may ask for", () => {
  const policy = { EVERSTREAM_POLICY: "window-recompute" };
  const { standard } = read({
    ...policy,
    EVERSTREAM_POLICIES: "window-recompute,window",
  }).policies;
  assertEquals(standard, "window-recompute");
  assertThrows(
    () => read(policy),
    RangeError,
    'EVERSTREAM_POLICY="window-recompute": must be one of EVERSTREAM_POLICIES (full,window,sink-window)',
  );
  assertThrows(
    () => read({ EVERSTREAM_POLICIES: "full" }),
    RangeError,
    "must be one of EVERSTREAM_POLICIES (full), and is sink-window here",
  );
});

Deno.test("rows have 32 bits and layers are lazy as calibrated, unless told otherwise", () => {
  const caches = (variables: Record<string, string>) => {
    const { kvBits, lazyLayers } = read(variables);
    return [kvBits, lazyLayers];
  };
  assertEquals(caches({}), [[32], "auto"]);
  assertEquals(
    caches({ EVERSTREAM_KV_BITS: "8, 32", EVERSTREAM_LAZY_LAYERS: "12" }),
    [[8, 32], 12],
  );
});

Deno.test("tokens leave one by one, unless told otherwise", () => {
  assertEquals(read({}).policies.evict, "token");
  assertEquals(read({ EVERSTREAM_EVICT: "turn" }).policies.evict, "turn");
});

Deno.test("the GPU with the most power is taken, and rows as it can, unless told otherwise", () => {
  const gpu = (variables: Record<string, string>) => {
    const { gpu, gpuRows } = read(variables);
    return [gpu, gpuRows];
  };
  assertEquals(gpu({}), ["high-performance", "auto"]);
  assertEquals(
    gpu({ EVERSTREAM_GPU: "low-power", EVERSTREAM_GPU_ROWS: "f32" }),
    ["low-power", "f32"],
  );
});

Deno.test("keys are read as digests, and a wrong one is not repeated", () => {
  const keys = (text: string) => read({ EVERSTREAM_API_KEYS: text }).keys;
  assertEquals(keys("es-0123456789abc, es-other-0123456789"), {
    digests: [digestOf("es-0123456789abc"), digestOf("es-other-0123456789")],
    file: null,
  });
  assertEquals(read({}).keys, { digests: [], file: null });
  assertEquals(read({ EVERSTREAM_API_KEYS_FILE: "/keys" }).keys.file, "/keys");
  for (const bad of ["short", "es-0123456789abc,", "es-0123 456789abcdef"]) {
    const error = assertThrows(() => keys(bad), RangeError, "deno task key");
    assert(!error.message.includes(bad), error.message);
  }
});

Deno.test("other origins are welcome without keys, and with them those that are named", () => {
  const origins = (text: string, keys = "") =>
    read({ EVERSTREAM_ORIGINS: text, EVERSTREAM_API_KEYS: keys }).origins;
  const key = "es-0123456789abc";
  assertEquals(origins(""), "*");
  assertEquals(origins("", key), []);
  assertEquals(read({ EVERSTREAM_API_KEYS_FILE: "/keys" }).origins, []);
  assertEquals(origins("*", key), "*");
  assertEquals(origins("none"), []);
  assertEquals(origins("https://a.example, http://b.example:8080", key), [
    "https://a.example",
    "http://b.example:8080",
  ]);
  for (
    const bad of ["a.example", "https://a.example/", "https://a.example,*"]
  ) {
    assertThrows(() => origins(bad), RangeError, "EVERSTREAM_ORIGINS=");
  }
});

Deno.test("limits of clients, logs, spans and the end are what they are set to", () => {
  const access = (variables: Record<string, string>) => {
    const { rates, log, tracing, drain } = read(variables);
    return { rates, log, tracing, drain };
  };
  assertEquals(access({}), {
    rates: { requests: 0, tokens: 0, streams: 0 },
    log: "json",
    tracing: false,
    drain: 5000,
  });
  const set = {
    EVERSTREAM_LIMIT_REQUESTS: "1",
    EVERSTREAM_LIMIT_TOKENS: "2",
    EVERSTREAM_LIMIT_STREAMS: "3",
    EVERSTREAM_LOG: "off",
    EVERSTREAM_DRAIN: "0",
    OTEL_DENO: "true",
  };
  assertEquals(access(set), {
    rates: { requests: 1, tokens: 2, streams: 3 },
    log: "off",
    tracing: true,
    drain: 0,
  });
  for (const name of Object.keys(set).filter((name) => name !== "OTEL_DENO")) {
    assertThrows(() => read({ [name]: "-1" }), RangeError, `${name}="-1"`);
  }
});

Deno.test("conversations are in memory, without snapshots, unless told otherwise", () => {
  const kept = (variables: Record<string, string>) => {
    const { data, snapshotBytes } = read(variables);
    return [data, snapshotBytes];
  };
  assertEquals(kept({}), [null, 0]);
  assertEquals(kept({ EVERSTREAM_DATA: "/data" }), ["/data", 2 ** 31]);
  const bytes = { EVERSTREAM_SNAPSHOT_BYTES: "1MB" };
  assertEquals(kept(bytes), [null, 1e6]);
  assertEquals(kept({ EVERSTREAM_DATA: "/data", ...bytes }), ["/data", 1e6]);
});
