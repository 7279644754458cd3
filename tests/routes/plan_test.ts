import { assert, assertEquals } from "@std/assert";
import type { AppParts } from "../../lib/app.ts";
import { CACHES, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function get(path: string, parts: Partial<AppParts> = {}) {
  const { app, reported } = testApp({}, { caches: () => CACHES, ...parts });
  const response = await app.request(`/v1/models/${path}`);
  const { status } = response;
  return { status, body: await response.json(), reported };
}

Deno.test("a plan says what conversations of the loaded model take", async () => {
  const { status, body } = await get("default/plan?tokens=8192&streams=3");
  assertEquals(status, 200);
  const { caches, ...head } = body;
  assertEquals(head, {
    object: "everstream.plan",
    model: "scripted/model-1",
    layers: 30,
    heads: 9,
    kv_heads: 3,
    head_dim: 64,
    tokens: 8192,
    streams: 3,
    sinks: 4,
    window: 1020,
    lazy_layers: 10,
    memory: 384 * 2 ** 20,
    left_out: [],
  });
  assertEquals(caches[0], {
    policy: "full",
    precision: "f32",
    kv_bits: 32,
    engines: ["native", "wasm"],
    capacity: 8192,
    bytes_per_token: 46_080,
    bytes: 8192 * 46_080,
    bytes_in_all: 3 * 8192 * 46_080,
    fit: 1,
  });
});

Deno.test("without numbers a plan is of one conversation of 4,096 tokens", async () => {
  const { body } = await get("default/plan");
  assertEquals([body.tokens, body.streams], [4096, 1]);
});

for (const id of ["scripted/model-1", "scripted%2Fmodel-1"]) {
  Deno.test(`the plan of a model is found by the id ${id}`, async () => {
    const { status, body } = await get(`${id}/plan`);
    assertEquals([status, body.model], [200, "scripted/model-1"]);
  });
}

Deno.test("there is no plan of another model", async () => {
  const { status, body } = await get("gpt-4/plan?tokens=1");
  assertEquals([status, body.error.code], [404, "model_not_found"]);
});

Deno.test("there is no plan before there is a model", async () => {
  const { status, body } = await get("default/plan", { model: () => null });
  assertEquals([status, body.error.code], [503, "model_loading"]);
});

Deno.test("there is no plan where nobody knows the model's caches", async () => {
  const { status, body } = await get("default/plan", { caches: () => null });
  assertEquals([status, body.error.code], [404, "unknown_url"]);
});

const WRONG = [
  ["tokens=0", "tokens", "invalid_value"],
  ["tokens=-5", "tokens", "invalid_value"],
  ["tokens=many", "tokens", "invalid_value"],
  ["tokens=", "tokens", "invalid_value"],
  ["tokens=1.5", "tokens", "invalid_value"],
  ["tokens=1e999", "tokens", "invalid_value"],
  ["tokens=99999999999999999999", "tokens", "invalid_value"],
  ["streams=0", "streams", "invalid_value"],
  ["streams=1048577", "streams", "invalid_value"],
  ["tokenz=5", "tokenz", "unknown_parameter"],
] as const;

for (const [query, param, code] of WRONG) {
  Deno.test(`a plan with ?${query} is refused`, async () => {
    const { status, body, reported } = await get(`default/plan?${query}`);
    assertEquals([status, body.error.param, body.error.code], [
      400,
      param,
      code,
    ]);
    assertEquals(body.error.type, "invalid_request_error");
    assert(body.error.message.includes(`'${param}'`), body.error.message);
    assertEquals(reported, []);
  });
}

Deno.test("a plan beyond counting is refused, the longest conversation is not", async () => {
  const query = "tokens=1073741824&streams=1048576";
  const { status, body } = await get(`default/plan?${query}`);
  assertEquals([status, body.error?.code], [400, "invalid_value"]);
  const { status: other } = await get("default/plan?tokens=1073741824");
  assertEquals(other, 200);
});

Deno.test("a plan is only got", async () => {
  const { app } = testApp({}, { caches: () => CACHES });
  const response = await app.request("/v1/models/default/plan", {
    method: "POST",
  });
  await response.body?.cancel();
  assertEquals([response.status, response.headers.get("allow")], [405, "GET"]);
});
