/** The app as clients without, with a wrong and with a right key find it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import { DOCS_PATHS } from "../../lib/routes/docs.ts";
import { PAGE_PATHS } from "../../lib/routes/page.ts";
import { eventually, hello, post, served, testApp } from "../routes/harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const KEY = "es-ada-0123456789";
const OTHER = "es-bob-0123456789";
const keys = new KeyRing([digestOf(KEY), digestOf(OTHER)]);
const bearer = (key: string) => ({
  headers: { authorization: `Bearer ${key}` },
});
const LIMITS = { requests: 0, tokens: 0, streams: 0 };

Deno.test("keys: without one only the health, the page and the documentation are open", async () => {
  const { app, model } = testApp({}, { keys });
  for (const path of ["/health", ...DOCS_PATHS, ...PAGE_PATHS]) {
    const response = await app.request(path);
    await response.body?.cancel();
    assertEquals(response.status, 200, path);
  }
  // What does not exist is closed, too: nobody learns what does.
  const closed = [
    "/metrics",
    "/v1/models",
    "/v1/models/default",
    "/v1",
    "/nothing",
    "//",
    "/health/",
    "/health/..%2fmetrics",
    "/HEALTH",
    "/docs/x",
    "/openapi.json/",
  ];
  for (const path of closed) {
    for (const method of ["GET", "POST", "DELETE", "HEAD"]) {
      const response = await app.request(path, { method });
      await response.body?.cancel();
      assertEquals(response.status, 401, `${method} ${path}`);
    }
  }
  const chat = await app.request("/v1/chat/completions", post(hello()));
  assertEquals(chat.status, 401);
  assertEquals(chat.headers.get("www-authenticate"), "Bearer");
  assertEquals(await chat.json(), {
    error: {
      message: "This server needs an API key, and none was sent. " +
        "Send 'Authorization: Bearer KEY' with a key from this server's operator.",
      type: "invalid_request_error",
      param: null,
      code: "invalid_api_key",
    },
  });
  assertEquals(model.requests.length, 0);
});

Deno.test("keys: a wrong one is refused and not repeated, a right one does everything", async () => {
  const { app, chat, model } = testApp({}, { keys });
  const wrong = await chat(hello(), bearer(`${KEY}0`));
  assertEquals(wrong.status, 401);
  assert(!(await wrong.text()).includes(KEY));
  for (const path of ["/metrics", "/v1/models"]) {
    const response = await app.request(path, bearer(KEY));
    await response.body?.cancel();
    assertEquals(response.status, 200, path);
  }
  const absent = await app.request("/nothing", bearer(KEY));
  assertEquals(absent.status, 404);
  await absent.body?.cancel();
  assertEquals(
    (await (await chat(hello(), bearer(KEY))).json()).choices.length,
    1,
  );
  assertEquals(model.requests[0]!.client.owner, digestOf(KEY).slice(0, 32));
});

Deno.test("limits: requests over the limit of a key are 429, with OpenAI's headers; another key's are not", async () => {
  const rates = { ...LIMITS, requests: 2, tokens: 600 };
  const { chat, app } = testApp({}, { keys, rates });
  const first = await chat(hello(), bearer(KEY));
  await first.json();
  const headers = (response: Response) =>
    Object.fromEntries(
      [...response.headers].filter(([name]) => name.startsWith("x-ratelimit")),
    );
  // 3 prompt tokens, 1 of them cached, and 3 of the answer.
  assertEquals(headers(first)["x-ratelimit-limit-requests"], "2");
  assertEquals(headers(first)["x-ratelimit-remaining-requests"], "1");
  assertMatch(
    headers(first)["x-ratelimit-reset-requests"]!,
    /^(30|29\.9\d*)s$/,
  );
  assertEquals(headers(first)["x-ratelimit-limit-tokens"], "600");
  assertEquals(headers(first)["x-ratelimit-remaining-tokens"], "595");
  assertMatch(headers(first)["x-ratelimit-reset-tokens"]!, /^(500|4\d\d)ms$/);

  await (await app.request("/v1/models", bearer(KEY))).body?.cancel();
  const third = await chat(hello(), bearer(KEY));
  assertEquals(third.status, 429);
  assertEquals(third.headers.get("retry-after"), "30");
  assertEquals(headers(third)["x-ratelimit-remaining-requests"], "0");
  const { error } = await third.json();
  assertEquals([error.type, error.code], ["requests", "rate_limit_exceeded"]);

  const other = await chat(hello(), bearer(OTHER));
  assertEquals(other.status, 200);
  await other.body?.cancel();
  // What is not /v1 is not limited.
  for (let i = 0; i < 5; i++) {
    const health = await app.request("/health");
    assertEquals(health.status, 200);
    await health.body?.cancel();
  }
});

Deno.test("limits: tokens are counted as they come, of an answer that was cut short too", async () => {
  const pieces = Array(50).fill("x");
  const rates = { ...LIMITS, tokens: 20 };
  const { chat, model } = testApp({ pieces, delay: 2 }, { keys, rates });
  const stream = await chat(hello({ stream: true }), bearer(KEY));
  await eventually(() => model.emitted > 30);
  await stream.body!.cancel();
  const refused = await chat(hello(), bearer(KEY));
  assertEquals(refused.status, 429);
  assert(Number(refused.headers.get("retry-after")) > 30);
  const { error } = await refused.json();
  assertEquals([error.type, error.code], ["tokens", "rate_limit_exceeded"]);
});

Deno.test("limits: a stream counts until it was read, left or failed", async () => {
  const rates = { ...LIMITS, streams: 1 };
  const { chat, model } = testApp({ delay: 60_000 }, { keys, rates });
  const begin = () => chat(hello({ stream: true }), bearer(KEY));
  const left = await begin();
  const refused = await begin();
  assertEquals([refused.status, refused.headers.get("retry-after")], [
    429,
    "1",
  ]);
  await refused.body?.cancel();
  await left.body!.cancel();
  model.script = {};
  const read = await begin();
  assertEquals(read.status, 200);
  assertEquals((await begin()).status, 429);
  await read.text();
  model.script = { failAt: 1 };
  const failed = await begin();
  assertEquals(failed.status, 200);
  await failed.text();
  model.script = {};
  const last = await chat(hello(), bearer(KEY));
  assertEquals(last.status, 200);
  await last.json();
});

Deno.test("limits: without keys it is the address that counts, whatever token is sent", async () => {
  const app = testApp({}, { rates: { ...LIMITS, requests: 2 } });
  await served(app, async (base) => {
    const statuses: number[] = [];
    for (const token of ["a", "b", "c"]) {
      const response = await fetch(`${base}/v1/models`, bearer(token));
      await response.body?.cancel();
      statuses.push(response.status);
    }
    assertEquals(statuses, [200, 200, 429]);
  });
});

async function allowOrigin(
  origins: "*" | string[],
  method: string,
): Promise<[string | null, string | null]> {
  const { app } = testApp({}, { keys, origins });
  const response = await app.request("/v1/models", {
    method,
    headers: {
      origin: "https://a.example",
      authorization: `Bearer ${KEY}`,
      "access-control-request-method": "GET",
    },
  });
  await response.body?.cancel();
  return [
    response.headers.get("access-control-allow-origin"),
    response.headers.get("vary"),
  ];
}

Deno.test("origins: all, those that are listed, or none", async () => {
  for (const method of ["GET", "OPTIONS"]) {
    assertEquals((await allowOrigin("*", method))[0], "*");
    const listed = ["https://b.example", "https://a.example"];
    const [origin, vary] = await allowOrigin(listed, method);
    assertEquals(origin, "https://a.example");
    assertMatch(vary!, /Origin/);
    assertEquals((await allowOrigin(["https://b.example"], method))[0], null);
    assertEquals((await allowOrigin([], method))[0], null);
  }
});

Deno.test("origins: a page of a listed one reads errors and limits, too", async () => {
  const rates = { ...LIMITS, requests: 9 };
  const { app } = testApp({}, { keys, rates, origins: ["https://a.example"] });
  const response = await app.request("/v1/models", {
    headers: { origin: "https://a.example" },
  });
  assertEquals(response.status, 401);
  assertEquals(
    response.headers.get("access-control-allow-origin"),
    "https://a.example",
  );
  assertMatch(
    response.headers.get("access-control-expose-headers")!,
    /x-ratelimit-remaining-tokens/,
  );
  await response.body?.cancel();
});

Deno.test("every answer has the security headers, errors and streams too", async () => {
  const { app, chat } = testApp({}, { keys });
  const answers = [
    await app.request("/"),
    await app.request("/health"),
    await app.request("/v1/models"),
    await app.request("/nothing", bearer(KEY)),
    await app.request("/metrics", bearer(KEY)),
    await chat(hello({ stream: true }), bearer(KEY)),
  ];
  for (const answer of answers) {
    assertEquals(answer.headers.get("x-content-type-options"), "nosniff");
    assertEquals(answer.headers.get("x-frame-options"), "DENY");
    assertMatch(
      answer.headers.get("content-security-policy")!,
      /^default-src 'none'/,
    );
    assertMatch(answer.headers.get("x-request-id")!, /^[\w-]+$/);
    await answer.text();
  }
});

Deno.test("headers: too many or too long are 431, over a socket too", async () => {
  const test = testApp();
  const many = (count: number) =>
    Array.from({ length: count }, (_, i): [string, string] => [`x-${i}`, "1"]);
  const status = async (headers: [string, string][]) => {
    const response = await test.app.request("/v1/models", { headers });
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await status(many(100)), 200);
  assertEquals(await status(many(101)), 431);
  assertEquals(await status([["x-long", "y".repeat(32_000)]]), 200);
  assertEquals(await status([["x-long", "y".repeat(33_000)]]), 431);
  await served(test, async (base) => {
    const answer = await fetch(`${base}/health`, {
      headers: { "x-long": "y".repeat(40_000) },
    });
    assertEquals(answer.status, 431);
    assertEquals((await answer.json()).error.code, "headers_too_large");
  });
});
