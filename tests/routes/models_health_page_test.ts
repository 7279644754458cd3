import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const wire = {
  id: "scripted/model-1",
  object: "model",
  created: 1_700_000_000,
  owned_by: "everstream",
};

Deno.test("the loaded model is listed", async () => {
  const response = await testApp().app.request("/v1/models");
  assertEquals(await response.json(), { object: "list", data: [wire] });
});

for (const id of ["scripted/model-1", "scripted%2Fmodel-1", "default"]) {
  Deno.test(`the model is found as ${id}`, async () => {
    const response = await testApp().app.request(`/v1/models/${id}`);
    assertEquals(await response.json(), wire);
  });
}

Deno.test("another model is a 404", async () => {
  const response = await testApp().app.request("/v1/models/gpt-4");
  assertEquals(response.status, 404);
  assertEquals((await response.json()).error.code, "model_not_found");
});

Deno.test("health tells loading, failed and ok apart", async () => {
  const loading = await testApp({}, { model: () => null }).app.request(
    "/health",
  );
  assertEquals(loading.status, 503);
  assertEquals(loading.headers.get("retry-after"), "1");
  assertEquals(await loading.json(), { status: "loading" });

  const broken = { model: () => null, loadError: () => "no such file" };
  const failed = await testApp({}, broken).app.request("/health");
  assertEquals(failed.status, 503);
  assertEquals(await failed.json(), {
    status: "failed",
    error: "no such file",
  });

  const ok = await testApp().app.request("/health");
  assertEquals(ok.status, 200);
  assertEquals(await ok.json(), { status: "ok", model: "scripted/model-1" });
});

Deno.test("models are a 503 while loading", async () => {
  const { app } = testApp({}, { model: () => null });
  assertEquals((await app.request("/v1/models")).status, 503);
  assertEquals((await app.request("/v1/models/default")).status, 503);
});

Deno.test("the page and its files come with a strict policy", async () => {
  const { app } = testApp();
  const page = await app.request("/");
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy")!;
  assertStringIncludes(policy, "default-src 'none'");
  assert(!policy.includes("unsafe"), policy);
  assertEquals(page.headers.get("x-content-type-options"), "nosniff");
  const html = await page.text();
  const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((m) => m[1]!);
  assert(files.length >= 3);
  for (const file of [...files, "chat_stream.js", "cache_strip.js"]) {
    const response = await app.request(`/${file}`);
    assertEquals(response.status, 200, file);
    assert((await response.text()).length > 100, file);
  }
});
