import { assert, assertEquals, assertMatch } from "@std/assert";
import { UnavailableError } from "../../lib/chat/chat_model.ts";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import type { RequestLine } from "../../lib/observe/log_requests.ts";
import { eventually, hello, served, testApp } from "../routes/harness.ts";
import type { AppParts } from "../../lib/app.ts";
import type { Script } from "../scripted_model.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const KEY = "es-ada-0123456789";
const SECRET = "the launch code is 0000";

function logged(script: Script = {}, parts: Partial<AppParts> = {}) {
  const lines: RequestLine[] = [];
  const app = testApp(script, { log: (line) => lines.push(line), ...parts });
  return { ...app, lines };
}

const said = { messages: [{ role: "user", content: SECRET }] };

Deno.test("log: a whole answer's line says what it cost, and nothing of what was said", async () => {
  const keys = new KeyRing([digestOf(KEY)]);
  const { app, lines } = logged({ pieces: [SECRET], pieceTokens: 5 }, { keys });
  const response = await app.request(`/v1/chat/completions?q=${SECRET}`, {
    method: "POST",
    body: JSON.stringify(said),
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${KEY}`,
      "x-request-id": "mine-1",
    },
  });
  await response.json();
  const [line] = lines;
  const { time, ms, ...rest } = line!;
  assertEquals(rest, {
    id: "mine-1",
    method: "POST",
    route: "/v1/chat/completions",
    status: 200,
    owner: digestOf(KEY).slice(0, 8),
    prompt_tokens: 3,
    cached_tokens: 1,
    completion_tokens: 5,
    finish_reason: "stop",
    error: null,
  });
  assertMatch(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert(ms >= 0 && ms < 5000);
  assertEquals(lines.length, 1);
  const text = JSON.stringify(lines);
  for (const no of [SECRET, "launch", KEY, "?"]) assert(!text.includes(no));
});

Deno.test("log: a stream's line comes when it has ended, and how long it took", async () => {
  const { chat, lines } = logged({ delay: 20, finishReason: "length" });
  const response = await chat({ ...said, stream: true });
  assertEquals(lines.length, 0);
  await response.text();
  assertEquals(lines.length, 1);
  const { status, finish_reason, completion_tokens, error, ms, owner } =
    lines[0]!;
  assertEquals([status, finish_reason, completion_tokens, error, owner], [
    200,
    "length",
    3,
    null,
    null,
  ]);
  assert(ms >= 40, `${ms}`);
});

Deno.test("log: what went wrong has its code, inside a stream too", async () => {
  const code = async (
    script: Script,
    { stream = false, parts = {} }: {
      stream?: boolean;
      parts?: Partial<AppParts>;
    } = {},
  ) => {
    const { chat, lines, model } = logged(script, parts);
    const response = await chat({ ...said, stream });
    if (parts.backlog) await eventually(() => model.returned === 1);
    await response.text();
    assertEquals(lines.length, 1);
    return [lines[0]!.status, lines[0]!.error];
  };
  const full = new UnavailableError("queue_full", SECRET, 1);
  assertEquals(await code({ refusal: full }), [503, "queue_full"]);
  assertEquals(await code({ failAt: 1, error: new Error(SECRET) }), [
    500,
    "internal_error",
  ]);
  assertEquals(
    await code({ failAt: 1, error: new Error(SECRET) }, { stream: true }),
    [200, "internal_error"],
  );
  assertEquals(await code({ noEnd: true }, { stream: true }), [
    200,
    "internal_error",
  ]);
  const pieces = Array(100).fill("x");
  assertEquals(
    await code({ pieces }, { stream: true, parts: { backlog: 10 } }),
    [200, "client_too_slow"],
  );
});

Deno.test("log: a client that leaves is known for it, with the tokens it had", async () => {
  const { chat, lines } = logged({ pieces: Array(5).fill("x"), delay: 60_000 });
  const response = await chat({ ...said, stream: true });
  const reader = response.body!.getReader();
  for (let i = 0; i < 2; i++) await reader.read();
  await reader.cancel();
  const { error, prompt_tokens, completion_tokens, finish_reason } = lines[0]!;
  assertEquals([error, prompt_tokens, completion_tokens, finish_reason], [
    "client_closed_request",
    3,
    1,
    null,
  ]);
});

Deno.test("log: routes are patterns, and every request has one line", async () => {
  const { app, lines } = logged();
  const ask = async (path: string, method = "GET") => {
    const response = await app.request(path, { method });
    await response.text();
    return response;
  };
  await ask("/v1/models/scripted%2Fmodel-1?key=secret");
  await ask("/v1/models/gpt-4");
  await ask("/health", "HEAD");
  await ask("/v1/files/file-secret", "DELETE");
  await ask("/health", "DELETE");
  await ask("/v1/models", "OPTIONS");
  assertEquals(
    lines.map((
      { method, route, status, error },
    ) => [method, route, status, error]),
    [
      ["GET", "/v1/models/:model{.+}", 200, null],
      ["GET", "/v1/models/:model{.+}", 404, "model_not_found"],
      ["HEAD", "/health", 200, null],
      ["DELETE", "/*", 404, "unknown_url"],
      ["DELETE", "/health", 405, "method_not_allowed"],
      ["OPTIONS", "/v1/*", 204, null],
    ],
  );
});

Deno.test("log: over sockets, streams that are read or left have one line each", async () => {
  const test = logged({ pieces: Array(40).fill("x"), delay: 10 });
  await served(test, async (base) => {
    const ask = (signal?: AbortSignal, stream = true) =>
      fetch(`${base}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify(hello({ stream })),
        headers: { "content-type": "application/json" },
        signal: signal ?? null,
      });
    await (await ask()).text();
    const controller = new AbortController();
    await ask(controller.signal);
    controller.abort();
    await eventually(() => test.lines.length === 2);
    const whole = new AbortController();
    const gone = ask(whole.signal, false).catch(() => null);
    await eventually(() => test.model.requests.length === 3);
    whole.abort();
    await gone;
    await eventually(() => test.lines.length === 3);
  });
  assertEquals(test.lines.map(({ status, error }) => [status, error]), [
    [200, null],
    [200, "client_closed_request"],
    [499, "client_closed_request"],
  ]);
  assertEquals(test.reported, []);
  assertEquals(test.lines[0]!.completion_tokens, 40);
});
