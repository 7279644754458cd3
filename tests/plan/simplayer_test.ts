/** What lazy layers and few bits save, and that decoders' own numbers say so. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { planCaches, type PlanRequest } from "../../lib/plan/plan_caches.ts";

const MIB = 2 ** 20;
const SMOLLM2_135M = { layers: 30, heads: 9, kvHeads: 3, headDim: 64 };
/** Conversations of 4,096 tokens; no layer that is not lazy forgets any of them. */
const REQUEST: PlanRequest = {
  tokens: 4096,
  streams: 1,
  sinks: 4,
  window: 4092,
  memory: 16 * 2 ** 30,
};

function plan(
  policy: string,
  kvBits: number,
  lazyLayers: PlanRequest["lazyLayers"] = "auto",
) {
  const { caches } = planCaches(SMOLLM2_135M, { ...REQUEST, lazyLayers });
  return caches.find((plan) =>
    plan.policy === policy && plan.kvBits === kvBits &&
    plan.engines.includes("native")
  )!;
}

Deno.test("the same memory takes at least 1.4 times as many simplayer conversations as full ones", () => {
  for (const bits of [32, 16, 8, 4]) {
    const [lazy, full] = ["simplayer", "full"].map((of) => plan(of, bits).fit);
    assert(lazy! >= 1.4 * full!, `${lazy} and ${full} of ${bits} bits`);
  }
});

Deno.test("simplayer in 4 bits takes at least 5 times fewer bytes than full rows of 16 bits", () => {
  const { bytes } = plan("simplayer", 4);
  assert(plan("full", 16).bytes >= 5 * bytes);
  // Counted as papers do, 22.5 KiB a token without scales or tail, it takes more than half of the
  // layers: the tail of 64 rows in f32 alone is 2.8 MiB.
  const bare = 90 * MIB;
  assert(bare >= 4.75 * bytes);
  assert(bare >= 5 * plan("simplayer", 4, 17).bytes);
});

Deno.test("lazy layers keep the sinks and the latest quarter, of at most 1,024; the others all", () => {
  const rows = (window: number, lazyLayers: number) => {
    const request = { ...REQUEST, window, lazyLayers };
    const { caches } = planCaches(SMOLLM2_135M, request);
    const of = caches.find((of) =>
      of.policy === "simplayer" && of.kvBits === 32
    )!;
    return [of.bytes / (2 * 3 * 64 * 4), of.capacity];
  };
  assertEquals(rows(1020, 10), [10 * (4 + 255) + 20 * (4 + 1020), 1024]);
  assertEquals(rows(8000, 10), [10 * (4 + 1024) + 20 * (4 + 8000), 8004]);
  assertEquals(rows(1020, 0), [30 * 1024, 1024]);
  assertEquals(rows(1020, 30), [30 * (4 + 255), 259]);
});

Deno.test("half of the layers are lazy unless a plan says how many", () => {
  assertEquals(plan("simplayer", 8), plan("simplayer", 8, 15));
  assertThrows(
    () => plan("simplayer", 8, 31),
    RangeError,
    "the model has 30",
  );
});

Deno.test("rows of all bits are planned, and say how many they have", () => {
  const { caches } = planCaches(SMOLLM2_135M, REQUEST);
  const full = caches.filter(({ policy }) => policy === "full")
    .map(({ precision, kvBits }) => `${precision} ${kvBits}`);
  assertEquals(full, [
    "f32 32",
    "int16 16",
    "int8 8",
    "int4 4",
    "f32 32",
    "f16 16",
  ]);
});
