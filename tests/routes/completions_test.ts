import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { client, frames, post, served, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type App = ReturnType<typeof testApp>;

const complete = async ({ app }: App, body: unknown) =>
  await app.request("/v1/completions", post(body));

Deno.test("completions: a whole answer has OpenAI's shape, and the prompt goes to the model as it is", async () => {
  const app = testApp();
  const response = await complete(app, { prompt: "Once", user: "u" });
  assertEquals(response.status, 200);
  const { id, created, usage, ...rest } = await response.json();
  assertMatch(id, /^cmpl-[0-9a-f]{32}$/);
  assert(Math.abs(created - Date.now() / 1000) < 5);
  assertEquals(rest, {
    object: "text_completion",
    model: "scripted/model-1",
    choices: [
      { index: 0, text: "Hello, world", logprobs: null, finish_reason: "stop" },
    ],
  });
  assertEquals([usage.prompt_tokens, usage.completion_tokens], [3, 3]);
  const [request] = app.model.requests;
  assertEquals([request!.prompt, request!.messages, request!.maxTokens], [
    { text: "Once" },
    [],
    16,
  ]);
});

Deno.test("completions: openai's client, whole and as a stream", async () => {
  await served(testApp({ pieces: ["a", "é", "c"] }), async (base) => {
    const { completions } = client(base);
    const whole = await completions.create({
      model: "default",
      prompt: ["x", "y"],
      n: 2,
      echo: true,
      max_tokens: 3,
      seed: 1,
    });
    assertEquals(
      whole.choices.map(({ index, text }) => [index, text]),
      [[0, "xaéc"], [1, "xaéc"], [2, "yaéc"], [3, "yaéc"]],
    );
    assertEquals(whole.usage!.prompt_tokens, 6);
    assertEquals(whole.usage!.completion_tokens, 12);
    const stream = await completions.create({
      model: "default",
      prompt: [104, 105],
      stream: true,
      echo: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage;
    const reasons: string[] = [];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? "";
      usage = chunk.usage ?? usage;
      const reason = chunk.choices[0]?.finish_reason;
      if (reason) reasons.push(reason);
    }
    assertEquals([text, reasons, usage!.total_tokens], ["hiaéc", ["stop"], 6]);
  });
});

Deno.test("completions: log-probabilities have the endpoint's own shape", async () => {
  const app = testApp({ pieces: ["a", "😀", "b"] });
  const body = { prompt: "x", logprobs: 1 };
  const { choices } = await (await complete(app, body)).json();
  assertEquals(choices[0].logprobs, {
    tokens: ["a", "😀", "b"],
    token_logprobs: [-0.5, -0.5, -0.5],
    top_logprobs: [
      { a0: -0.5, a: -0.5 },
      { "😀0": -0.5, "😀": -0.5 },
      { b0: -0.5, b: -0.5 },
    ],
    text_offset: [0, 1, 2],
  });
  assertEquals(app.model.requests[0]!.topLogprobs, 1);
  const stream = await complete(app, { ...body, stream: true });
  const offsets = frames(await stream.text())
    .filter((frame) => !frame.includes("[DONE]"))
    .flatMap((frame) =>
      JSON.parse(frame.slice(6)).choices[0].logprobs?.text_offset ?? []
    );
  assertEquals(offsets, [0, 1, 2]);
});

Deno.test("completions: what cannot be served is refused by name", async () => {
  for (
    const [body, param, code] of [
      [{}, "prompt", "missing_required_parameter"],
      [{ prompt: "" }, "prompt"],
      [{ prompt: [] }, "prompt"],
      [{ prompt: ["a", ""] }, "prompt[1]"],
      [{ prompt: [1, -2] }, "prompt[1]"],
      [{ prompt: Array(9).fill("x") }, "prompt"],
      [{ prompt: ["a", "b", "c"], n: 3 }, "n"],
      [{ prompt: "a", n: 9 }, "n"],
      [{ prompt: "a", best_of: 2 }, "best_of"],
      [{ prompt: "a", n: 2, best_of: 3 }, "best_of"],
      [{ prompt: "a", suffix: "b" }, "suffix", "unsupported_parameter"],
      [{ prompt: "a", logprobs: 6 }, "logprobs"],
      [{ prompt: "a", logprobs: true }, "logprobs"],
      [{ prompt: "a", logprobs: 0, echo: true }, "echo"],
      [{ prompt: "a", stream_options: {} }, "stream_options"],
      [{ prompt: "a", max_tokens: 0 }, "max_tokens"],
      [{ prompt: "a", tools: [] }, "tools", "unknown_parameter"],
      [{ prompt: "a", messages: [] }, "messages", "unknown_parameter"],
    ] as const
  ) {
    const response = await complete(testApp(), body);
    const { error } = await response.json();
    assertEquals([response.status, error.param], [400, param], error.message);
    if (code) assertEquals(error.code, code);
    assertStringIncludes(error.message, `'${param}'`);
  }
  const app = testApp();
  const same = await complete(app, {
    prompt: "a",
    n: 2,
    best_of: 2,
    suffix: "",
  });
  assertEquals((await same.json()).choices.length, 2);
  const get = await app.app.request("/v1/completions");
  assertEquals([get.status, get.headers.get("allow")], [405, "POST"]);
  await get.body?.cancel();
});
