import { assertEquals, assertMatch } from "@std/assert";
import { hello, served, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

interface Case {
  name: string;
  path?: string;
  init: RequestInit;
  status: number;
  code: string;
  param?: string;
}

const json = { "content-type": "application/json" };
const chat = { method: "POST", headers: json };

const cases: Case[] = [
  {
    name: "malformed JSON",
    init: { ...chat, body: "{" },
    status: 400,
    code: "invalid_json",
  },
  { name: "no body", init: chat, status: 400, code: "invalid_json" },
  {
    name: "NaN, which is no JSON",
    init: { ...chat, body: '{"temperature":NaN}' },
    status: 400,
    code: "invalid_json",
  },
  {
    name: "bytes that are not UTF-8",
    init: { ...chat, body: new Uint8Array([0x22, 0xff, 0x22]) },
    status: 400,
    code: "invalid_json",
  },
  {
    name: "JSON that nests a million deep",
    init: {
      ...chat,
      body: `{"messages":${"[".repeat(1e6)}${"]".repeat(1e6)}}`,
    },
    status: 400,
    code: "invalid_type",
    param: "messages[0]",
  },
  {
    name: "tools that nest four million deep",
    init: {
      ...chat,
      body: `{"messages":[{"role":"user","content":""}],"tools":${
        "[".repeat(4e6)
      }${"]".repeat(4e6)}}`,
    },
    status: 400,
    code: "invalid_type",
    param: "tools[0]",
  },
  {
    name: "a tool whose parameters nest a million deep",
    init: {
      ...chat,
      body:
        `{"messages":[{"role":"user","content":""}],"tools":[{"type":"function",` +
        `"function":{"name":"f","parameters":{"a":${"[".repeat(1e6)}${
          "]".repeat(1e6)
        }}}}]}`,
    },
    status: 400,
    code: "invalid_value",
    param: "tools[0].function.parameters",
  },
  {
    name: "JSON that is no object",
    init: { ...chat, body: "[1]" },
    status: 400,
    code: "invalid_type",
  },
  {
    name: "a body that breaks off",
    init: {
      ...chat,
      body: new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('{"messages":'));
          controller.error(new Error("connection reset"));
        },
      }),
    },
    status: 400,
    code: "incomplete_body",
  },
  {
    name: "a form",
    init: {
      ...chat,
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: JSON.stringify(hello()),
    },
    status: 400,
    code: "invalid_content_type",
  },
  {
    name: "text",
    init: { method: "POST", body: JSON.stringify(hello()) },
    status: 400,
    code: "invalid_content_type",
  },
  {
    name: "an infinite temperature",
    init: {
      ...chat,
      body: '{"messages":[{"role":"user","content":""}],"temperature":1e999}',
    },
    status: 400,
    code: "invalid_type",
    param: "temperature",
  },
  {
    name: "a negative max_tokens",
    init: { ...chat, body: JSON.stringify(hello({ max_tokens: -1 })) },
    status: 400,
    code: "invalid_value",
    param: "max_tokens",
  },
  {
    name: "tools",
    init: { ...chat, body: JSON.stringify(hello({ tools: [{}] })) },
    status: 400,
    code: "missing_required_parameter",
    param: "tools[0].type",
  },
  {
    name: "an unknown parameter",
    init: { ...chat, body: JSON.stringify(hello({ colour: "red" })) },
    status: 400,
    code: "unknown_parameter",
    param: "colour",
  },
  {
    name: "a body over the limit",
    init: {
      ...chat,
      body: JSON.stringify(hello({ user: "x".repeat(8 * 1024 * 1024) })),
    },
    status: 413,
    code: "request_too_large",
  },
  {
    name: "a body over the limit, of unknown length",
    init: { ...chat, body: endless() },
    status: 413,
    code: "request_too_large",
  },
  {
    name: "an unknown route",
    path: "/v1/embeddings",
    init: chat,
    status: 404,
    code: "unknown_url",
  },
  {
    name: "an unknown page",
    path: "/nothing",
    init: {},
    status: 404,
    code: "unknown_url",
  },
  {
    name: "GET of the chat route",
    init: {},
    status: 405,
    code: "method_not_allowed",
  },
  {
    name: "DELETE of a model",
    path: "/v1/models/a/b",
    init: { method: "DELETE" },
    status: 405,
    code: "method_not_allowed",
  },
  {
    name: "POST of health",
    path: "/health",
    init: { method: "POST" },
    status: 405,
    code: "method_not_allowed",
  },
  {
    name: "POST of the metrics",
    path: "/metrics",
    init: { method: "POST" },
    status: 405,
    code: "method_not_allowed",
  },
  {
    name: "PUT of the page",
    path: "/",
    init: { method: "PUT" },
    status: 405,
    code: "method_not_allowed",
  },
];

/** A body without a length, of 9 MiB. */
function endless(): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = 9 * 16;
  return new ReadableStream({
    pull(controller) {
      if (left-- === 0) controller.close();
      else controller.enqueue(new Uint8Array(65_536).fill(0x20));
    },
  });
}

for (
  const { name, path = "/v1/chat/completions", init, status, code, param }
    of cases
) {
  Deno.test(`${name} is a ${status} in OpenAI's shape, and the app goes on`, async () => {
    const { app, chat, model } = testApp();
    const response = await app.request(path, init);
    assertEquals(response.status, status);
    const { error, ...rest } = await response.json();
    assertEquals(rest, {});
    assertEquals(Object.keys(error), ["message", "type", "param", "code"]);
    assertEquals([error.type, error.param, error.code], [
      "invalid_request_error",
      param ?? null,
      code,
    ]);
    assertMatch(error.message, /. [A-Z][^.]*\.$|; it is .*\.$/);
    assertMatch(response.headers.get("x-request-id")!, /./);
    assertEquals(model.requests.length, 0);
    assertEquals((await chat(hello())).status, 200);
  });
}

Deno.test("a 405 says what is allowed", async () => {
  const { app } = testApp();
  const chat = await app.request("/v1/chat/completions");
  assertEquals(chat.headers.get("allow"), "POST");
  const health = await app.request("/health", { method: "PATCH" });
  assertEquals(health.headers.get("allow"), "GET");
});

Deno.test("a served app answers 413 to bodies with and without a length, and goes on", async () => {
  await served(testApp(), async (base) => {
    const url = `${base}/v1/chat/completions`;
    const big = await fetch(url, {
      ...chat,
      body: new Uint8Array(9 * 1024 * 1024),
    });
    assertEquals(big.status, 413);
    assertEquals((await big.json()).error.code, "request_too_large");
    const chunked = await fetch(url, { ...chat, body: endless() });
    assertEquals(chunked.status, 413);
    assertEquals((await chunked.json()).error.code, "request_too_large");
    const fine = await fetch(url, { ...chat, body: JSON.stringify(hello()) });
    assertEquals(fine.status, 200);
    await fine.body?.cancel();
  });
});

Deno.test("any origin may ask, and read the request's id", async () => {
  const { app } = testApp();
  const preflight = await app.request("/v1/chat/completions", {
    method: "OPTIONS",
    headers: {
      origin: "https://example.com",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  });
  assertEquals(preflight.status, 204);
  assertEquals(preflight.headers.get("access-control-allow-origin"), "*");
  assertEquals(
    preflight.headers.get("access-control-allow-headers"),
    "authorization,content-type",
  );
  const refused = await app.request("/v1/chat/completions", chat);
  assertEquals(refused.headers.get("access-control-allow-origin"), "*");
  assertMatch(
    refused.headers.get("access-control-expose-headers")!,
    /x-request-id/,
  );
});
