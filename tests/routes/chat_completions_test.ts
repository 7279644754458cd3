import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { RequestError } from "../../lib/chat/chat_model.ts";
import { hello, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("a whole answer has OpenAI's shape", async () => {
  const { chat, model } = testApp();
  const response = await chat(hello({ model: model.id, max_tokens: 9 }));
  assertEquals(response.status, 200);
  assertMatch(response.headers.get("x-request-id")!, /^[\w-]{36}$/);
  assertEquals(response.headers.get("access-control-allow-origin"), "*");
  const { id, created, ...rest } = await response.json();
  assertMatch(id, /^chatcmpl-[0-9a-f]{32}$/);
  assert(Math.abs(created - Date.now() / 1000) < 5);
  assertEquals(rest, {
    object: "chat.completion",
    model: "scripted/model-1",
    choices: [{
      index: 0,
      message: { role: "assistant", content: "Hello, world", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: {
      prompt_tokens: 3,
      completion_tokens: 3,
      total_tokens: 6,
      prompt_tokens_details: { cached_tokens: 1 },
      everstream: {
        policy: "sink-window",
        evict: "token",
        kv_bits: 32,
        held: 6,
        seen: 6,
        evicted: 0,
        capacity: 64,
        sinks: 4,
        horizon: {
          position: 4,
          messages: { whole: 1, partial: [], gone: { from: 0, to: 0 } },
        },
        lazy_layers: [],
        bytes: 64 * 23_040,
        full_bytes: 6 * 23_040,
      },
    },
  });
  assertEquals(model.requests[0]!.maxTokens, 9);
  assertEquals({ returned: model.returned, finished: model.finished }, {
    returned: 0,
    finished: 1,
  });
});

Deno.test("a request can say what its cache keeps", async () => {
  const { chat, model } = testApp({ pieces: ["a"] });
  const everstream = {
    policy: "sink-window" as const,
    sinks: 2,
    window: 30,
    evict: "turn" as const,
  };
  await (await chat(hello({ everstream: { ...everstream, kv_bits: 8 } })))
    .text();
  assertEquals(model.requests[0]!.policy, { ...everstream, kvBits: 8 });
  for (
    const [everstream, param] of [
      [{ policy: "lru" }, "everstream.policy"],
      [{ sinks: -1 }, "everstream.sinks"],
      [{ window: 0 }, "everstream.window"],
      [{ evict: "message" }, "everstream.evict"],
      [{ kv_bits: 3 }, "everstream.kv_bits"],
      [{ kv_bits: "8" }, "everstream.kv_bits"],
      [{ bits: 8 }, "everstream.bits"],
      [7, "everstream"],
    ] as const
  ) {
    const response = await chat(hello({ everstream }));
    assertEquals(response.status, 400);
    const { error } = await response.json();
    assert(error.param.startsWith(param), `${error.param}: ${error.message}`);
  }
});

Deno.test("log-probabilities have OpenAI's shape, and what JSON cannot say is -9999", async () => {
  const { chat } = testApp({ pieces: ["é"] });
  const body = hello({ logprobs: true, top_logprobs: 2 });
  const { choices } = await (await chat(body)).json();
  assertEquals(choices[0].logprobs, {
    content: [{
      token: "é",
      logprob: -0.5,
      bytes: [0xc3, 0xa9],
      top_logprobs: [
        { token: "é0", logprob: -0.5, bytes: [0xc3, 0xa9, 0x30] },
        { token: "é1", logprob: -9999, bytes: [0xc3, 0xa9, 0x31] },
      ],
    }],
    refusal: null,
  });
});

Deno.test("a model of another name is a 404 that names the loaded one", async () => {
  const { chat, model } = testApp();
  const response = await chat(hello({ model: "gpt-4" }));
  assertEquals(response.status, 404);
  assertEquals(await response.json(), {
    error: {
      message:
        "The model 'gpt-4' does not exist here; this server has 'scripted/model-1'. " +
        "Ask for 'scripted/model-1' or 'default'.",
      type: "invalid_request_error",
      param: "model",
      code: "model_not_found",
    },
  });
  assertEquals(model.requests.length, 0);
});

Deno.test("while the model loads an answer is a 503 to be tried again", async () => {
  const { chat } = testApp({}, { model: () => null });
  const response = await chat(hello());
  assertEquals(response.status, 503);
  assertEquals(response.headers.get("retry-after"), "1");
  const { error } = await response.json();
  assertEquals([error.type, error.code], ["server_error", "model_loading"]);
});

Deno.test("after loading failed an answer is a 503 without the reason", async () => {
  const { chat } = testApp({}, {
    model: () => null,
    loadError: () => "/secret/path",
  });
  const response = await chat(hello());
  assertEquals(response.status, 503);
  assertEquals(response.headers.get("retry-after"), null);
  const text = await response.text();
  assertStringIncludes(text, '"model_failed"');
  assert(!text.includes("secret"));
});

for (const stream of [false, true]) {
  Deno.test(`what the model refuses at once is a 400, stream ${stream}`, async () => {
    const error = new RequestError("Too many sinks. Send fewer.", "messages");
    const { chat, reported } = testApp({ refusal: error });
    const response = await chat(hello({ stream }));
    assertEquals(response.status, 400);
    assertEquals(await response.json(), {
      error: {
        message: "Too many sinks. Send fewer.",
        type: "invalid_request_error",
        param: "messages",
        code: "invalid_value",
      },
    });
    assertEquals(reported, []);
  });

  Deno.test(`an unexpected failure is a 500 without internals, stream ${stream}`, async () => {
    const error = new TypeError("secret at /root/model.ts");
    const { chat, reported } = testApp({ refusal: error });
    const response = await chat(hello({ stream }));
    assertEquals(response.status, 500);
    assertEquals(response.headers.get("access-control-allow-origin"), "*");
    assertMatch(response.headers.get("x-request-id")!, /./);
    const text = await response.text();
    assert(!/secret|root|TypeError/.test(text), text);
    assertEquals(JSON.parse(text).error.type, "server_error");
    assertEquals(reported, [error]);
  });
}

Deno.test("an answer without an end is a 500, not half an answer", async () => {
  const { chat, reported } = testApp({ noEnd: true });
  assertEquals((await chat(hello())).status, 500);
  assertEquals(reported.length, 1);
});

Deno.test("a client that leaves a whole answer frees the model at once", async () => {
  const { chat, model, reported } = testApp({ delay: 60_000 });
  const controller = new AbortController();
  const response = chat(hello(), { signal: controller.signal });
  while (model.emitted === 0) await new Promise((r) => setTimeout(r, 5));
  controller.abort();
  await response.catch(() => {});
  assertEquals(model.returned, 1);
  assertEquals(reported, []);
});
