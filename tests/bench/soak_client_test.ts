/** The soak's clients and its watch, against a server that does as it is told. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { checkSoak } from "../../bench/soak/checks.ts";
import { exchangeOf } from "../../bench/soak/client.ts";
import type { Ask, HangUp } from "../../bench/soak/persona.ts";
import { runSoak } from "../../bench/soak/run.ts";
import { takeSample } from "../../bench/soak/watch.ts";
import { type FakeAnswer, serveFake } from "./fake_server.ts";

function ask(hangUp: HangUp | null = null): Ask {
  return {
    messages: [{ role: "user", content: "hello" }],
    maxTokens: 16,
    hangUp,
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert(condition(), "it did not come to pass");
}

const PARTS = ["", "one ", "two ", "three"];

Deno.test("a client reads an answer to its end", async () => {
  await using server = serveFake(() => ({ parts: PARTS }));
  const exchange = await exchangeOf(server.url, ask(), "key-1");
  assertEquals(exchange.outcome, { kind: "finished" });
  assertEquals([exchange.text, exchange.parts], ["one two three", 3]);
  assert(exchange.firstPartMs! > 0);
  const [{ body, headers }] = server.asked as [typeof server.asked[0]];
  assertEquals([body.max_tokens, body.stream], [16, true]);
  assertEquals(headers.get("authorization"), "Bearer key-1");
  assertEquals(server.left, 0);
});

Deno.test("a client without a key sends none", async () => {
  await using server = serveFake(() => ({ parts: PARTS }));
  await exchangeOf(server.url, ask(), null);
  assertEquals(server.asked[0]!.headers.get("authorization"), null);
});

Deno.test("a client leaves after so many parts, and the server hears of it", async () => {
  await using server = serveFake(() => ({
    parts: Array(1000).fill("x"),
    delay: 2,
  }));
  const exchange = await exchangeOf(server.url, ask({ parts: 3 }), null);
  assertEquals(exchange.outcome, { kind: "left" });
  assertEquals([exchange.text, exchange.parts], ["xxx", 3]);
  await until(() => server.left === 1);
});

Deno.test("a client leaves while it waits for the first part", async () => {
  await using server = serveFake(() => ({ parts: PARTS, delay: 200 }));
  const exchange = await exchangeOf(
    server.url,
    ask({ milliseconds: 30 }),
    null,
  );
  assertEquals(exchange.outcome, { kind: "left" });
  assertEquals([exchange.text, exchange.firstPartMs], ["", null]);
  await until(() => server.running === 0);
});

Deno.test("what is no answer is told apart", async () => {
  const error = (code: string) =>
    `data: ${JSON.stringify({ error: { code } })}\n\n`;
  const body = '{"error":{}}';
  const cases: [FakeAnswer, object][] = [
    [
      new Response(body, { status: 503, headers: { "retry-after": "7" } }),
      { kind: "unavailable", retryAfter: 7 },
    ],
    [
      new Response(body, { status: 503 }),
      {
        kind: "unexpected",
        what: `status 503, Retry-After null: ${body}`,
      },
    ],
    [
      new Response(body, { status: 500, headers: { "retry-after": "7" } }),
      { kind: "unexpected", what: `status 500, Retry-After 7: ${body}` },
    ],
    [
      { parts: PARTS, end: error("queue_timeout") },
      { kind: "stream error", code: "queue_timeout" },
    ],
    [
      { parts: PARTS, end: ": ping\n\n" },
      { kind: "unexpected", what: "a stream ended without [DONE]" },
    ],
  ];
  await using server = serveFake((_, index) => cases[index]![0]);
  for (const [, outcome] of cases) {
    const exchange = await exchangeOf(server.url, ask(), null);
    assertEquals(exchange.outcome as object, outcome);
  }
});

Deno.test("a server that is gone is unexpected", async () => {
  const server = serveFake(() => ({ parts: PARTS }));
  await server[Symbol.asyncDispose]();
  const { outcome } = await exchangeOf(server.url, ask(), null);
  assertEquals(outcome.kind, "unexpected");
});

const RUN = { minutes: 0.01, clients: 6, hangup: 0.33, every: 0.05, seed: 1 };
const SHORT = { ...RUN, minutes: 0.002 };

Deno.test("a soak of a good server passes all checks", async () => {
  await using server = serveFake(() => ({ parts: PARTS, delay: 5 }));
  const result = await runSoak(server, RUN);
  const failed = checkSoak(result).filter(({ ok, what }) =>
    !ok && !what.startsWith("RSS") // that of the tests, which is not flat
  );
  assertEquals(failed, []);
  const { tally, samples } = result;
  assert(tally.finished > 0 && tally.left > 0);
  assertEquals(tally.finished + tally.left, server.asked.length);
  assert(samples.length >= 8 && samples.at(-1)!.seconds <= 0.7);
  assert(samples.every(({ rss }) => rss > 1e6));
  const roles = server.asked.map(({ body }) =>
    body.messages.map(({ role }) => role[0]).join("")
  );
  assert(roles.some((chat) => chat.endsWith("uau")), "a chat goes on");
});

Deno.test("a soak sees a slot that is never given back", async () => {
  await using server = serveFake(() => ({ parts: PARTS }));
  server.leaked = 1;
  const result = await runSoak(server, { ...SHORT, idleWithin: 100 });
  const end = checkSoak(result).find(({ what }) => what.startsWith("at the"));
  assertEquals([end!.ok, end!.found], [
    false,
    "1 run, 0 wait, 10 bytes in use",
  ]);
});

Deno.test("a soak waits until its server is idle", async () => {
  await using server = serveFake(() => ({ parts: PARTS }));
  server.leaked = 1;
  const timer = setTimeout(() => server.leaked = 0, 500); // it ends after 120
  const { last } = await runSoak(server, SHORT);
  clearTimeout(timer);
  assertEquals(last!.running, 0);
  assert(last!.seconds >= 0.45);
});

Deno.test("clients come back no sooner than Retry-After says", async () => {
  await using server = serveFake(() =>
    new Response("", { status: 503, headers: { "retry-after": "60" } })
  );
  const { tally } = await runSoak(server, RUN);
  assertEquals(tally.unavailable, RUN.clients);
  assertEquals(tally.unexpected.size, 0);
});

Deno.test("a soak ends when its server does, and says so", async () => {
  const server = serveFake(() => ({ parts: PARTS }));
  const soak = runSoak(server, { ...RUN, minutes: 10 });
  await until(() => server.asked.length > 20);
  await server[Symbol.asyncDispose]();
  server.ended = true;
  const { tally, last } = await soak;
  assertEquals(last, null);
  assert(tally.unexpected.has("the server's process ended"));
});

Deno.test("a server without metrics cannot be soaked", async () => {
  await using http = Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
    },
    (request) =>
      new Response("", { status: request.url.endsWith("/health") ? 200 : 404 }),
  );
  const url = `http://127.0.0.1:${http.addr.port}`;
  await assertRejects(
    () => takeSample({ url, pid: Deno.pid }, 0),
    Error,
    "GET /metrics answered 404",
  );
});
