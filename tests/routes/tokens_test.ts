import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import { TOKEN_PATHS } from "../../lib/routes/tokens.ts";
import { post, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const messages = [{ role: "user", content: "Hi" }];

async function ask(path: string, body: unknown) {
  const { app } = testApp();
  const response = await app.request(path, post(body));
  return { status: response.status, body: await response.json() };
}

Deno.test("tokenize gives the tokens of a text or of messages, detokenize the text of tokens", async () => {
  assertEquals(await ask("/tokenize", { content: "Hé" }), {
    status: 200,
    body: { tokens: [72, 233], count: 2 },
  });
  const prompt = "user: Hi\nassistant: ";
  const { body } = await ask("/tokenize", { model: "default", messages });
  assertEquals(body.count, prompt.length);
  assertEquals(await ask("/detokenize", { tokens: body.tokens }), {
    status: 200,
    body: { content: prompt },
  });
  assertEquals((await ask("/tokenize", { content: "" })).body.count, 0);
});

Deno.test("apply-template gives the prompt, with the beginning of the answer unless asked not to", async () => {
  for (const add of [undefined, true, false]) {
    const body = { messages, add_generation_prompt: add };
    assertEquals((await ask("/apply-template", body)).body, {
      prompt: `user: Hi\n${add === false ? "" : "assistant: "}`,
    });
  }
});

Deno.test("token routes name what they cannot take", async () => {
  for (
    const [path, body, param, code] of [
      ["/tokenize", {}, "content", "missing_required_parameter"],
      ["/tokenize", { content: 5 }, "content", "invalid_type"],
      ["/tokenize", { content: "", messages }, "content", "invalid_value"],
      ["/tokenize", { content: "", tools: [] }, "tools", "invalid_value"],
      ["/tokenize", { content: "", with_pieces: true }, "with_pieces"],
      [
        "/tokenize",
        { content: "", parse_special: true },
        "parse_special",
        "unsupported_parameter",
      ],
      ["/tokenize", { messages, add_special: true }, "add_special"],
      ["/tokenize", { model: "gpt-4", content: "" }, "model"],
      ["/apply-template", {}, "messages", "missing_required_parameter"],
      ["/apply-template", { messages, content: "" }, "content"],
      ["/detokenize", {}, "tokens", "missing_required_parameter"],
      ["/detokenize", { tokens: [-1] }, "tokens[0]", "invalid_value"],
      ["/detokenize", { tokens: [1.5] }, "tokens[0]", "invalid_type"],
      ["/detokenize", { tokens: [1], colour: 1 }, "colour"],
    ] as const
  ) {
    const { status, body: { error } } = await ask(path, body);
    assertEquals(status, param === "model" ? 404 : 400, error.message);
    assertEquals(error.param, param);
    if (code) assertEquals(error.code, code);
    assertStringIncludes(
      error.message,
      `${param === "model" ? "gpt-4" : param}`,
    );
  }
});

Deno.test("token routes need a key where the server does, are limited, and know one method", async () => {
  const key = "es-ada-0123456789";
  const { app } = testApp({}, {
    keys: new KeyRing([digestOf(key)]),
    rates: { requests: 4, tokens: 0, streams: 0 },
  });
  const headers = { authorization: `Bearer ${key}` };
  for (const path of TOKEN_PATHS) {
    const closed = await app.request(path, post({}));
    assertEquals(closed.status, 401, path);
    const open = await app.request(path, post({}, { headers }));
    assertEquals(open.status, 400, path);
    assert(open.headers.get("x-ratelimit-remaining-requests") !== null);
    await closed.body?.cancel();
    await open.body?.cancel();
  }
  const get = await app.request("/tokenize", { headers });
  assertEquals([get.status, get.headers.get("allow")], [405, "POST"]);
  await get.body?.cancel();
  const limited = await app.request("/tokenize", post({}, { headers }));
  assertEquals(limited.status, 429);
  await limited.body?.cancel();
});

Deno.test("token routes say that the model is loading", async () => {
  const { app } = testApp({}, { model: () => null });
  for (const path of TOKEN_PATHS) {
    const response = await app.request(path, post({}));
    assertEquals(response.status, 503);
    await response.body?.cancel();
  }
});
