import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { conversationBytes, layerCaches } from "../../lib/cache/layout.ts";
import { fittingSlots } from "../../lib/decoder/fitting_slots.ts";
import { slotsIn } from "../../lib/decoder/gpu/gpu_size.ts";
import { FusedGroupedQueryAttention } from "../../lib/graph/attention/fused_grouped_query.ts";
import { LLAMA } from "../../lib/graph/families/llama.ts";
import {
  type CachePlan,
  planCaches,
  type PlanChoice,
  type PlanRequest,
} from "../../lib/plan/plan_caches.ts";
import { type PlannedPolicy, POLICIES } from "../../lib/plan/policies.ts";
import { gpuRows, hostRows } from "../../lib/plan/precisions.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const LLAMA_3_70B = { layers: 80, heads: 64, kvHeads: 8, headDim: 128 };
const LLAMA_2_7B = { layers: 32, heads: 32, kvHeads: 32, headDim: 128 };
const SMOLLM2_135M = { layers: 30, heads: 9, kvHeads: 3, headDim: 64 };
const REQUEST: PlanRequest = {
  tokens: 4096,
  streams: 1,
  sinks: 4,
  window: 1020,
  memory: 384 * MIB,
};
/** Rows of 16 bits and nothing else, as papers count them. */
const F16: PlanChoice = {
  precisions: [{
    name: "f16",
    kvBits: 16,
    layered: true,
    engines: ["native"],
    groupBytes(shape, { layers, sinks, window }) {
      const attention = new FusedGroupedQueryAttention(shape, "float16");
      const layout = { sinkRows: sinks, tailRows: 0, blocks: [window] };
      return conversationBytes(
        layerCaches({ shape: { layers }, attention }, layout),
      );
    },
  }],
};

function find(
  caches: readonly CachePlan[],
  policy: string,
  rows = "f32 native",
): CachePlan {
  return caches.find((plan) =>
    plan.policy === policy && `${plan.precision} ${plan.engines[0]}` === rows
  )!;
}

Deno.test("Llama-3-70B counted as MHA takes 2.5 MiB a token, 10 GiB for 4,096", () => {
  const { caches } = planCaches({ ...LLAMA_3_70B, kvHeads: 64 }, REQUEST, F16);
  const full = find(caches, "full", "f16 native");
  assertEquals(full.bytesPerToken, 2.5 * MIB);
  assertEquals(full.bytes, 10 * GIB);
});

Deno.test("with its 8 KV heads Llama-3-70B takes an eighth of that", () => {
  const { caches } = planCaches(LLAMA_3_70B, REQUEST, F16);
  const full = find(caches, "full", "f16 native");
  assertEquals(full.bytesPerToken, 2.5 * MIB / 8);
  assertEquals(full.bytes, 10 * GIB / 8);
});

Deno.test("Llama-2-7B takes 62.5 GiB for 128,000 tokens", () => {
  const request = { ...REQUEST, tokens: 128_000 };
  const { caches } = planCaches(LLAMA_2_7B, request, F16);
  assertEquals(find(caches, "full", "f16 native").bytes, 62.5 * GIB);
});

Deno.test("SmolLM2-135M takes 45 KiB a token in f32, 22.5 KiB in f16", () => {
  const { caches } = planCaches(SMOLLM2_135M, REQUEST);
  assertEquals(find(caches, "full").bytesPerToken, 45 * 1024);
  const f16 = find(caches, "full", "f16 webgpu");
  assertEquals(f16.bytesPerToken, 22.5 * 1024);
});

Deno.test("rows of fewer bits are codes and a scale for each head; sinks and the latest 64 stay f32", () => {
  const shape = SMOLLM2_135M; // 30 layers, keys and values, 3 heads of 64 values
  const { caches } = planCaches(shape, REQUEST);
  const perHead = 30 * 2 * 3;
  for (const [rows, row] of [["int16", 132], ["int8", 68], ["int4", 36]]) {
    for (
      const [policy, sinks, window] of [
        ["full", 1, 4095], // where nothing leaves, a sink is a row like others
        ["sink-window", 4, 1020],
        ["window", 1, 1020], // no tensor is without a row
      ] as const
    ) {
      const { bytes, bytesPerToken, engines } = find(
        caches,
        policy,
        `${rows} native`,
      );
      assertEquals(engines.slice(0, 2), ["native", "wasm"]);
      assertEquals(bytesPerToken, perHead * Number(row));
      const exact = perHead * 256 * (sinks + 64);
      assertEquals(bytes, exact + window * perHead * Number(row), policy);
    }
  }
});

Deno.test("a GPU's slots have spare rows: a copy of the sinks, and one row for each slot", () => {
  const request = { ...REQUEST, streams: 8 };
  const { caches } = planCaches(SMOLLM2_135M, request);
  const full = find(caches, "full", "f32 webgpu");
  assertEquals(full.bytes, (4096 + 1 + 1) * full.bytesPerToken);
  assertEquals(full.bytesInAll, 8 * (4096 + 1 + 8) * full.bytesPerToken);
  const sinks = find(caches, "sink-window", "f32 webgpu");
  assertEquals(sinks.bytes, (1024 + 4 + 1) * full.bytesPerToken);
});

Deno.test("what a window keeps does not depend on the conversation's length", () => {
  const of = (tokens: number) =>
    planCaches(SMOLLM2_135M, { ...REQUEST, tokens }).caches;
  for (const policy of ["window", "sink-window"]) {
    assertEquals(find(of(100), policy), find(of(1_000_000), policy));
  }
  assertEquals(find(of(100), "window").capacity, 1020);
  assertEquals(find(of(100), "sink-window").capacity, 1024);
  assertEquals(find(of(100), "full").capacity, 100);
  assertEquals(find(of(1), "full").bytes, 45 * 1024);
});

Deno.test("as many fit on a CPU as its decoder makes slots", () => {
  for (const memory of [45 * MIB, 46 * MIB, 384 * MIB, 80 * GIB]) {
    const { caches } = planCaches(SMOLLM2_135M, { ...REQUEST, memory });
    const { fit, bytes } = find(caches, "sink-window");
    assertEquals(fit, fittingSlots(memory, bytes, REQUEST));
  }
});

Deno.test("as many fit on a GPU as its decoder makes slots", () => {
  const shape = {
    ...SMOLLM2_135M,
    hidden: 576,
    feedForward: 1536,
    vocabulary: 49152,
    rmsEpsilon: 1e-5,
    contextLength: 2048,
    rope: { dimensions: 64, base: 1e5, scale: 1 },
  };
  const memory = fc.integer({ min: 46 * MIB, max: 16 * GIB });
  fc.assert(
    fc.property(memory, fc.integer({ min: 0, max: 64 }), (memory, sinks) => {
      const request = { ...REQUEST, memory, sinks, window: 900 };
      const { caches } = planCaches(shape, request);
      for (const element of ["f32", "f16"] as const) {
        const floats = element === "f16" ? "float16" : "float32";
        const attention = new FusedGroupedQueryAttention(shape, floats);
        const size = { sinks, window: 900, chunk: 64, element };
        const plan = { family: LLAMA, shape, attention };
        assertEquals(
          find(caches, "sink-window", `${element} webgpu`).fit,
          slotsIn(memory, size, plan),
        );
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("no conversation fits into less memory than one takes", () => {
  const { caches } = planCaches(SMOLLM2_135M, {
    ...REQUEST,
    memory: 45 * MIB - 1,
  });
  assertEquals(find(caches, "sink-window").fit, 0);
  const none = planCaches(SMOLLM2_135M, { ...REQUEST, memory: 0 }).caches;
  assert(none.every(({ fit }) => fit === 0));
});

Deno.test("where layers keep different numbers of rows, a GPU's own caches are no choice", () => {
  const { caches } = planCaches(SMOLLM2_135M, { ...REQUEST, lazyLayers: 15 });
  const rows = (policy: string) =>
    caches.filter((plan) => plan.policy === policy)
      .map(({ precision }) => precision);
  assertEquals(rows("simplayer"), ["f32", "int16", "int8", "int4"]);
  assertEquals(rows("sink-window"), [...rows("simplayer"), "f32", "f16"]);
});

Deno.test("a memory beyond all machines is divided at once", () => {
  const begun = performance.now();
  planCaches(SMOLLM2_135M, { ...REQUEST, memory: Number.MAX_SAFE_INTEGER });
  assert(performance.now() - begun < 10_000);
});

Deno.test("a model that a GPU cannot run is planned without it, and why", () => {
  const { caches, leftOut } = planCaches(
    { ...SMOLLM2_135M, headDim: 72 },
    REQUEST,
  );
  // With caches in host memory, it can.
  assertEquals(
    new Set(
      caches.filter(({ engines }) => engines.includes("webgpu"))
        .map(({ precision }) => precision),
    ),
    new Set(["int8", "int4"]),
  );
  assertEquals(leftOut.map(({ engines }) => engines), [["webgpu"], ["webgpu"]]);
  assert(leftOut[0]!.reason.includes("multiple of 16"));
});

Deno.test("numbers that come to more bytes than can be counted are refused", () => {
  const absurd = {
    layers: 2 ** 20,
    heads: 2 ** 20,
    kvHeads: 2 ** 20,
    headDim: 1024,
  };
  assertThrows(
    () => planCaches(absurd, REQUEST),
    RangeError,
    "more bytes than",
  );
  assertThrows(
    () => planCaches(SMOLLM2_135M, { ...REQUEST, tokens: 2 ** 50 }),
    RangeError,
  );
});

Deno.test("lazy layers and other precisions are entries of a list", () => {
  const lazy: PlannedPolicy = {
    name: "half lazy",
    keeps: ({ tokens, sinks, window }, layers) => [
      { layers: layers / 2, sinks, window: tokens - sinks },
      { layers: layers / 2, sinks, window },
    ],
  };
  const { caches } = planCaches(SMOLLM2_135M, { ...REQUEST, streams: 3 }, {
    policies: [...POLICIES, lazy],
    precisions: [hostRows(32, ["native"]), gpuRows("f16")],
  });
  const [full, kept, half] = ["full", "sink-window", "half lazy"].map((name) =>
    find(caches, name)
  );
  assertAlmostEquals(half!.bytes, (full!.bytes + kept!.bytes) / 2);
  assertEquals(half!.capacity, 4096);
  // Two have layers that differ, which a GPU's own caches have not.
  assertEquals(caches.length, 2 * (POLICIES.length + 1) - 2);
  // A window that is recomputed needs what a window needs.
  const [window, recomputed] = ["window", "window-recompute"].map((name) =>
    find(caches, name)
  );
  assertEquals({ ...recomputed, policy: "window" }, window);
});
