import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { client, eventually, served, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const messages = [{ role: "user" as const, content: "Hi" }];

Deno.test("openai: a whole answer", async () => {
  await served(testApp(), async (base) => {
    const answer = await client(base).chat.completions.create({
      model: "default",
      messages,
    });
    assertEquals(answer.choices[0]!.message.content, "Hello, world");
    assertEquals(answer.usage!.total_tokens, 6);
    assertEquals(answer.usage!.prompt_tokens_details!.cached_tokens, 1);
    assert(answer._request_id);
  });
});

Deno.test("openai: a stream with usage and log-probabilities", async () => {
  await served(testApp(), async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "scripted/model-1",
      messages,
      stream: true,
      stream_options: { include_usage: true },
      logprobs: true,
    });
    let text = "";
    let tokens = "";
    const reasons: string[] = [];
    let usage;
    for await (const chunk of stream) {
      const choice = chunk.choices[0];
      text += choice?.delta.content ?? "";
      for (const token of choice?.logprobs?.content ?? []) {
        tokens += token.token;
      }
      if (choice?.finish_reason) reasons.push(choice.finish_reason);
      usage = chunk.usage ?? usage;
    }
    assertEquals([text, tokens], ["Hello, world", "Hello, world"]);
    assertEquals(reasons, ["stop"]);
    assertEquals(usage!.completion_tokens, 3);
  });
});

Deno.test("openai: the stream helper builds the whole completion", async () => {
  await served(testApp(), async (base) => {
    const stream = client(base).chat.completions.stream({
      model: "default",
      messages,
    });
    const completion = await stream.finalChatCompletion();
    assertEquals(completion.choices[0]!.message.content, "Hello, world");
  });
});

Deno.test("openai: pings in a long prefill do not disturb", async () => {
  const app = testApp({ firstDelay: 60 }, { pingInterval: 10 });
  await served(app, async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "default",
      messages,
      stream: true,
    });
    let text = "";
    for await (const chunk of stream) {
      text += chunk.choices[0]!.delta.content ?? "";
    }
    assertEquals(text, "Hello, world");
  });
});

Deno.test("openai: breaking out of a stream frees the model at once", async () => {
  const app = testApp({ delay: 60_000 });
  await served(app, async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "default",
      messages,
      stream: true,
    });
    for await (const chunk of stream) {
      if (chunk.choices[0]!.delta.content) break;
    }
    await eventually(() => app.model.returned === 1);
    assertEquals(app.reported, []);
  });
});

Deno.test("openai: aborting a stream in its prefill frees the model at once", async () => {
  const app = testApp({ firstDelay: 60_000 });
  await served(app, async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "default",
      messages,
      stream: true,
    });
    await eventually(() => app.model.requests.length === 1);
    stream.controller.abort();
    await eventually(() => app.model.returned === 1);
  });
});

Deno.test("openai: aborting a whole answer frees the model at once", async () => {
  const app = testApp({ delay: 60_000 });
  await served(app, async (base) => {
    const controller = new AbortController();
    const answer = client(base).chat.completions.create(
      { model: "default", messages },
      { signal: controller.signal },
    );
    const failed = assertRejects(() => answer, OpenAI.APIUserAbortError);
    await eventually(() => app.model.emitted === 1);
    controller.abort();
    await failed;
    await eventually(() => app.model.returned === 1);
  });
});

Deno.test("openai: answers that end by themselves are not cancelled", async () => {
  const app = testApp();
  await served(app, async (base) => {
    const openai = client(base);
    for (let i = 0; i < 3; i++) {
      await openai.chat.completions.create({ model: "default", messages });
      const stream = await openai.chat.completions.create({
        model: "default",
        messages,
        stream: true,
      });
      for await (const _ of stream);
    }
    await eventually(() => app.model.finished === 6);
    assertEquals(app.model.returned, 0);
  });
});

Deno.test("openai: errors arrive with status, code and parameter", async () => {
  await served(testApp(), async (base) => {
    const { completions } = client(base).chat;
    const missing = await assertRejects(
      () => completions.create({ model: "gpt-4", messages }),
      OpenAI.NotFoundError,
    ) as InstanceType<typeof OpenAI.APIError>;
    assertEquals([missing.status, missing.code, missing.param], [
      404,
      "model_not_found",
      "model",
    ]);
    const bad = await assertRejects(
      () => completions.create({ model: "default", messages, temperature: 9 }),
      OpenAI.BadRequestError,
    ) as InstanceType<typeof OpenAI.APIError>;
    assertEquals([bad.code, bad.param, bad.type], [
      "invalid_value",
      "temperature",
      "invalid_request_error",
    ]);
    assert(bad.requestID);
  });
});

Deno.test("openai: an error in the middle of a stream is thrown", async () => {
  const app = testApp({ failAt: 1, error: new Error("secret") });
  await served(app, async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "default",
      messages,
      stream: true,
    });
    const error = await assertRejects(async () => {
      for await (const _ of stream);
    }, OpenAI.APIError);
    assert(!error.message.includes("secret"));
  });
});

Deno.test("openai: models are listed and found", async () => {
  await served(testApp(), async (base) => {
    const { models } = client(base);
    const ids = (await models.list()).data.map((model) => model.id);
    assertEquals(ids, ["scripted/model-1"]);
    assertEquals((await models.retrieve(ids[0]!)).id, ids[0]!);
  });
});
