import { assert, assertEquals } from "@std/assert";
import { type ChatModel, UnavailableError } from "../../lib/chat/chat_model.ts";
import {
  type Parsed,
  parseExposition,
  valueOf,
} from "../metrics/parse_exposition.ts";
import { eventually, hello, type TestApp, testApp } from "./harness.ts";
import { storedApp } from "./stored_app.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const STATE = {
  cacheBytes: { active: 1, idle: 2, free: 3, swapped: 4, shared: 5 },
  totals: {
    evicted: 6,
    swappedOut: 8,
    swappedIn: 7,
    beginningsAsked: 10,
    beginningsFound: 9,
  },
};

async function scrape({ app }: Pick<TestApp, "app">): Promise<Parsed> {
  const response = await app.request("/metrics");
  assertEquals(response.status, 200);
  assertEquals(
    response.headers.get("content-type"),
    "text/plain; version=0.0.4; charset=utf-8",
  );
  return parseExposition(await response.text());
}

/** Values of one model, its name left out. */
function values(parsed: Parsed, name: string): Record<string, number> {
  const { samples } = parsed.get(`everstream:${name}`)!;
  return Object.fromEntries(
    samples.map(({ labels, value }) => {
      const { model_name, ...more } = labels;
      assertEquals(model_name, "scripted/model-1");
      return [Object.values(more).join(), value];
    }),
  );
}

Deno.test("metrics: what the model is at", async () => {
  const parsed = await scrape(testApp({ state: STATE }));
  assertEquals(values(parsed, "num_requests_running"), { "": 0 });
  assertEquals(values(parsed, "num_requests_waiting"), { "": 0 });
  assertEquals(values(parsed, "cache_bytes"), STATE.cacheBytes);
  assertEquals(parsed.get("everstream:cache_bytes")!.type, "gauge");
  assertEquals(values(parsed, "cache_evicted_tokens_total"), { "": 6 });
  assertEquals(values(parsed, "swaps_total"), { out: 8, in: 7 });
  assertEquals(values(parsed, "shared_beginnings_asked_total"), { "": 10 });
  assertEquals(values(parsed, "shared_beginnings_found_total"), { "": 9 });
});

Deno.test("metrics: bytes on the GPU by purpose, of a model that runs on one", async () => {
  const none = await scrape(testApp());
  assertEquals(values(none, "gpu_bytes"), {});
  const gpuBytes = { weights: 100, caches: 20, scratch: 3 };
  const some = await scrape(testApp({ state: { gpuBytes } }));
  assertEquals(values(some, "gpu_bytes"), gpuBytes);
  assertEquals(some.get("everstream:gpu_bytes")!.type, "gauge");
});

Deno.test("metrics: requests run, wait, and are gone when their clients are", async () => {
  const app = testApp({ delay: 60_000 });
  const running = await app.chat(hello({ stream: true }));
  app.model.script = { queueDelay: 60_000 };
  const controller = new AbortController();
  const waiting = [false, true].map((stream) =>
    app.chat(hello({ stream }), { signal: controller.signal })
  );
  await eventually(() => app.model.requests.length === 3);
  const during = await scrape(app);
  assertEquals(values(during, "num_requests_running"), { "": 1 });
  assertEquals(values(during, "num_requests_waiting"), { "": 2 });
  assertEquals(values(during, "prompt_tokens_total"), { "": 3 });

  await running.body!.cancel();
  controller.abort();
  await Promise.all(waiting);
  const after = await scrape(app);
  assertEquals(values(after, "num_requests_running"), { "": 0 });
  assertEquals(values(after, "num_requests_waiting"), { "": 0 });
  assertEquals(values(after, "request_failure_total")["cancelled"], 3);
});

Deno.test("metrics: answers count once, whole or streamed, with what they cost", async () => {
  const app = testApp({ pieceTokens: 2 });
  await (await app.chat(hello())).json();
  await (await app.chat(hello({ stream: true }))).text();
  app.model.script = { finishReason: "length" };
  await (await app.chat(hello())).json();
  const parsed = await scrape(app);
  assertEquals(values(parsed, "request_success_total"), { stop: 2, length: 1 });
  assertEquals(values(parsed, "prompt_tokens_total"), { "": 9 });
  assertEquals(values(parsed, "prompt_tokens_cached_total"), { "": 3 });
  assertEquals(values(parsed, "generation_tokens_total"), { "": 15 });
  const count = (name: string) => valueOf(parsed, `everstream:${name}_count`);
  assertEquals(count("time_to_first_token_seconds"), 3);
  assertEquals(count("inter_token_latency_seconds"), 4 + 4 + 2);
  assertEquals(count("e2e_request_latency_seconds"), 3);
  assertEquals(count("request_queue_time_seconds"), 3);
});

Deno.test("metrics: what went wrong is counted by its reason", async () => {
  const full = new UnavailableError("queue_full", "Not now.", 1);
  const app = testApp({ refusal: full });
  for (const stream of [false, true, true]) {
    await (await app.chat(hello({ stream }))).body?.cancel();
  }
  app.model.script = { failAt: 1 };
  await (await app.chat(hello({ stream: true }))).text();
  app.model.script = {};
  await (await app.chat("{}")).body?.cancel(); // never reached the model
  const parsed = await scrape(app);
  assertEquals(values(parsed, "request_failure_total"), {
    cancelled: 0,
    error: 1,
    invalid_request: 0,
    queue_full: 3,
    queue_timeout: 0,
    answer_timeout: 0,
    model_restarted: 0,
  });
  assertEquals(values(parsed, "num_requests_running"), { "": 0 });
  assertEquals(values(parsed, "request_success_total"), { stop: 0, length: 0 });
});

Deno.test("metrics: a client that is too slow has cancelled", async () => {
  const app = testApp({ pieces: Array(100).fill("x") }, { backlog: 10 });
  const response = await app.chat(hello({ stream: true }));
  await eventually(() => app.model.returned === 1);
  await response.text();
  const parsed = await scrape(app);
  assertEquals(values(parsed, "request_failure_total")["cancelled"], 1);
});

Deno.test("metrics: while no model is loaded there are names without values", async () => {
  const app = testApp({}, { model: () => null });
  const parsed = await scrape(app);
  assert(parsed.size > 10);
  for (const { samples } of parsed.values()) assertEquals(samples, []);
  assertEquals((await app.chat(hello())).status, 503);
  assertEquals(app.reported, []);
});

Deno.test("metrics: a model that cannot tell its state leaves the rest, and is reported", async () => {
  const app = testApp();
  await (await app.chat(hello())).json();
  const broken = new Error("the worker is gone");
  app.model.state = () => Promise.reject(broken);
  const parsed = await scrape(app);
  assertEquals(parsed.get("everstream:num_requests_running")!.samples, []);
  assertEquals(values(parsed, "request_success_total")["stop"], 1);
  assertEquals(app.reported, [broken]);
});

Deno.test("metrics: totals go on over a model that was loaded again", async () => {
  const first = testApp();
  const second = testApp();
  let current: ChatModel = first.model;
  const app = testApp({}, { model: () => current });
  await (await app.chat(hello())).json();
  current = second.model;
  await (await app.chat(hello())).json();
  assertEquals(second.model.finished, 1);
  const parsed = await scrape(app);
  assertEquals(values(parsed, "request_success_total")["stop"], 2);
});

Deno.test("metrics: snapshots, and where conversations were found that went on", async () => {
  await using stored = await storedApp({ snapshotBytes: 1e4 });
  const { openai, store } = stored;
  const { id: conversation } = await openai.conversations.create({});
  const ask = (conversation: string) =>
    openai.responses.create({ model: "default", input: "Hi", conversation });
  const written = async (count: number) =>
    await eventually(() => store.snapshots.counts.written === count);
  const scraped = async () =>
    parseExposition(await (await stored.send("GET", "/metrics")).text());
  await ask(conversation);
  await written(1);
  await ask(conversation);
  await written(2);
  stored.restart();
  await ask(conversation);
  await written(3);
  const parsed = await scraped();
  const value = (name: string) => valueOf(parsed, `everstream:${name}`);
  assertEquals(value("snapshot_bytes"), store.snapshots.bytes);
  assert(store.snapshots.bytes > 0);
  assertEquals(value("snapshots_written_total"), 3);
  for (const none of ["failed", "pruned", "damaged"]) {
    assertEquals(value(`snapshots_${none}_total`), 0);
  }
  assertEquals(
    parsed.get("everstream:turns_resumed_total")!.samples
      .map(({ labels, value }) => [labels["from"], value]),
    [["slot", 1], ["memory", 0], ["snapshot", 1], ["replay", 0]],
  );

  const without = await scrape(testApp());
  assertEquals(without.get("everstream:snapshot_bytes")!.samples, []);
});
