import { assert, assertEquals, assertMatch } from "@std/assert";
import { RequestError } from "../../lib/chat/chat_model.ts";
import { eventually, frames, hello, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Frames with what differs from run to run cut out. */
async function plainFrames(response: Response): Promise<string[]> {
  return frames(await response.text()).map((frame) =>
    frame
      .replace(/"id":"chatcmpl-[0-9a-f]{32}"/, '"id":"I"')
      .replace(/"created":\d{10}/, '"created":1')
  );
}

const HEAD =
  '"id":"I","object":"chat.completion.chunk","created":1,"model":"scripted/model-1"';

function choice(delta: string, more = '"logprobs":null,"finish_reason":null') {
  return `"choices":[{"index":0,"delta":${delta},${more}}]`;
}

Deno.test("a stream is the role, the pieces, the reason and [DONE]", async () => {
  const { chat, model } = testApp({ finishReason: "length" });
  const response = await chat(hello({ stream: true }));
  assertEquals(response.status, 200);
  const { headers } = response;
  assertEquals(headers.get("content-type"), "text/event-stream; charset=utf-8");
  assertEquals(headers.get("cache-control"), "no-cache");
  assertEquals(headers.get("x-accel-buffering"), "no");
  assertEquals(headers.get("access-control-allow-origin"), "*");
  assertMatch(headers.get("x-request-id")!, /^[\w-]{36}$/);
  assertEquals(await plainFrames(response), [
    `data: {${HEAD},${choice('{"role":"assistant","content":""}')}}`,
    `data: {${HEAD},${choice('{"content":"Hello"}')}}`,
    `data: {${HEAD},${choice('{"content":", "}')}}`,
    `data: {${HEAD},${choice('{"content":"world"}')}}`,
    `data: {${HEAD},${
      choice("{}", '"logprobs":null,"finish_reason":"length"')
    }}`,
    "data: [DONE]",
  ]);
  assertEquals({ returned: model.returned, finished: model.finished }, {
    returned: 0,
    finished: 1,
  });
});

Deno.test("usage asked for comes last, and is null before", async () => {
  const { chat } = testApp({ pieces: ["a"] });
  const response = await chat(
    hello({ stream: true, stream_options: { include_usage: true } }),
  );
  const cache =
    '{"policy":"sink-window","evict":"token","kv_bits":32,"held":4,"seen":4,"evicted":0,"capacity":64,"sinks":4,"horizon":{"position":4,"messages":{"whole":1,"partial":[],"gone":{"from":0,"to":0}}},' +
    '"lazy_layers":[],"bytes":1474560,"full_bytes":92160}';
  assertEquals(await plainFrames(response), [
    `data: {${HEAD},${
      choice('{"role":"assistant","content":""}')
    },"usage":null}`,
    `data: {${HEAD},${choice('{"content":"a"}')},"usage":null}`,
    `data: {${HEAD},${
      choice("{}", '"logprobs":null,"finish_reason":"stop"')
    },"usage":null}`,
    `data: {${HEAD},"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,` +
    `"total_tokens":4,"prompt_tokens_details":{"cached_tokens":1},"everstream":${cache}}}`,
    "data: [DONE]",
  ]);
});

Deno.test("the cache's state is in the chunks of who asks for it", async () => {
  const { chat } = testApp({ pieces: ["a", ""], capacity: 5, sinks: 2 });
  const response = await chat(hello({ stream: true }), {
    headers: { "x-everstream-cache": "1" },
  });
  const states = frames(await response.text())
    .filter((frame) => frame.startsWith("data: {"))
    .map((frame) => JSON.parse(frame.slice(6)).everstream);
  const state = (seen: number, sinks = 2) => ({
    policy: "sink-window",
    evict: "token",
    kv_bits: 32,
    held: seen,
    seen,
    evicted: 0,
    capacity: 5,
    sinks,
    horizon: {
      position: sinks,
      messages: {
        whole: seen > 0 ? 1 : 0,
        partial: [],
        gone: { from: 0, to: 0 },
      },
    },
    lazy_layers: [],
    bytes: 115_200,
    full_bytes: seen * 23_040,
  });
  assertEquals(states, [undefined, state(0, 0), state(4), state(5), state(5)]);
});

Deno.test("an event without text makes no frame", async () => {
  const { chat } = testApp({ pieces: ["", "a", ""] });
  const text = await (await chat(hello({ stream: true }))).text();
  assertEquals(frames(text).length, 4);
});

Deno.test("streamed log-probabilities joined are the text's tokens", async () => {
  const pieces = ["Hel", "", "lo"];
  const { chat } = testApp({ pieces });
  const response = await chat(
    hello({ stream: true, logprobs: true, top_logprobs: 1 }),
  );
  const tokens = frames(await response.text())
    .filter((frame) => frame.startsWith("data: {"))
    .flatMap((frame) =>
      JSON.parse(frame.slice(6)).choices[0].logprobs?.content ?? []
    );
  assertEquals(tokens.map((token) => token.token), pieces);
  assert(tokens.every((token) => token.top_logprobs.length === 1));
});

Deno.test("a long prefill gets headers, the role and pings", async () => {
  const { chat } = testApp(
    { pieces: ["a"], firstDelay: 1200 },
    { pingInterval: 250 },
  );
  const began = performance.now();
  const response = await chat(hello({ stream: true }));
  assert(
    performance.now() - began < 1000,
    "the headers waited for the prefill",
  );
  const all = frames(await response.text());
  const pings = all.filter((frame) => frame === ": ping").length;
  assert(pings >= 2 && pings <= 5, `${pings} pings`);
  assertMatch(all[0]!, /"role":"assistant"/);
  assertEquals(all[1], ": ping");
  assertEquals(all.at(-1), "data: [DONE]");
});

Deno.test("a refusal after the headers is an error frame, and the stream ends", async () => {
  const error = new RequestError("No such token.", "logit_bias");
  const { chat, reported } = testApp({ failAt: 0, firstDelay: 30, error });
  const all = frames(await (await chat(hello({ stream: true }))).text());
  assertEquals(all.slice(1), [
    'data: {"error":{"message":"No such token.","type":"invalid_request_error",' +
    '"param":"logit_bias","code":"invalid_value"}}',
  ]);
  assertEquals(reported, []);
});

Deno.test("a failure in the middle is an error frame without internals", async () => {
  const error = new TypeError("secret at /root/model.ts");
  const { chat, reported, model } = testApp({ failAt: 2, error });
  const response = await chat(hello({ stream: true }));
  const text = await response.text();
  const all = frames(text);
  assertEquals(all.length, 4);
  assert(!/secret|root|TypeError/.test(text), text);
  const last = JSON.parse(all[3]!.slice(6));
  assertEquals(Object.keys(last), ["error"]);
  assertEquals(last.error.type, "server_error");
  assertEquals(reported, [error]);
  model.script = {};
  assertEquals((await chat(hello())).status, 200);
});

Deno.test("a stream without an end becomes an error frame", async () => {
  const { chat } = testApp({ noEnd: true });
  const all = frames(await (await chat(hello({ stream: true }))).text());
  assertMatch(all.at(-1)!, /^data: \{"error"/);
});

Deno.test("a client that leaves a stream frees the model at once", async () => {
  const { chat, model, reported } = testApp({ delay: 60_000 });
  const response = await chat(hello({ stream: true }));
  const reader = response.body!.getReader();
  await reader.read();
  await reader.read();
  const waiting = reader.read();
  await reader.cancel();
  assertEquals((await waiting).done, true);
  assertEquals(model.returned, 1);
  assertEquals(reported, []);
});

Deno.test("a client that leaves before the headers frees the model at once", async () => {
  const { chat, model } = testApp({ queueDelay: 60_000 });
  const controller = new AbortController();
  const response = chat(hello({ stream: true }), { signal: controller.signal });
  await eventually(() => model.requests.length === 1);
  controller.abort();
  await response.then((r) => r.body?.cancel()).catch(() => {});
  assertEquals(model.returned, 1);
});

Deno.test("what waits for a slow client comes in one piece, each frame whole", async () => {
  const pieces = Array.from({ length: 500 }, (_, i) => `${i} `);
  const { chat, model } = testApp({ pieces });
  const response = await chat(hello({ stream: true }));
  await eventually(() => model.finished === 1);
  const reader = response.body!.pipeThrough(new TextDecoderStream())
    .getReader();
  assertMatch((await reader.read()).value!, /"role":"assistant"/);
  const { value } = await reader.read();
  const all = frames(value!);
  assertEquals(all.length, 502);
  assertEquals(all.at(-1), "data: [DONE]");
  const text = all.slice(0, 500)
    .map((frame) => JSON.parse(frame.slice(6)).choices[0].delta.content);
  assertEquals(text, pieces);
  assertEquals((await reader.read()).done, true);
});

Deno.test("a client that is too slow gets what there was, and why that is all", async () => {
  const pieces = Array.from({ length: 500 }, (_, i) => `${i} `);
  const { chat, model, reported } = testApp({ pieces }, { backlog: 20 });
  const response = await chat(hello({ stream: true }));
  await eventually(() => model.returned === 1);
  assertEquals(model.emitted, 20);
  const all = frames(await response.text());
  assertEquals(all.length, 22);
  assertMatch(all[20]!, /"content":"19 "/);
  assertEquals(
    all[21],
    'data: {"error":{"message":"The answer was ended here because its stream was read too ' +
      "slowly: more than 20 events were waiting. Read faster, or ask for the whole answer with " +
      '\'stream\': false.","type":"invalid_request_error","param":null,"code":"client_too_slow"}}',
  );
  assertEquals({ returned: model.returned, finished: model.finished }, {
    returned: 1,
    finished: 0,
  });
  assertEquals(reported, []);
});
