/** `/v1/responses`, by OpenAI's client and bare, over HTTP. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { TOKENIZER } from "../chat/scripted_decoder.ts";
import { eventually } from "./harness.ts";
import { hold, type StoredApp, storedApp } from "./stored_app.ts";

Deno.test.sanitizer({ ops: true, resources: true });

type Ours = OpenAI.Responses.Response & {
  everstream: { resumed: string | null; branched: boolean };
};

async function ask(
  { openai }: StoredApp,
  input: string,
  more: Partial<OpenAI.Responses.ResponseCreateParamsNonStreaming> = {},
): Promise<Ours> {
  return await openai.responses.create({
    model: "default",
    input,
    temperature: 0,
    ...more,
  }) as Ours;
}

/** What is thrown, as the client's error. */
async function refused(
  promise: Promise<unknown>,
): Promise<[number | undefined, unknown, unknown]> {
  const error = await assertRejects(
    () => promise,
    OpenAI.APIError,
  ) as InstanceType<
    typeof OpenAI.APIError
  >;
  return [error.status, error.code, error.param];
}

Deno.test("responses: one answer, and the same when it is read again", async () => {
  await using app = await storedApp();
  const response = await ask(app, "Hi", {
    instructions: "Be brief.",
    metadata: { a: "b" },
    max_output_tokens: 50,
    user: "ada",
  });
  assertEquals(response.output_text, "hello");
  const { id, output, usage, created_at, completed_at, ...rest } = response;
  assert(id.startsWith("resp_"));
  assert(created_at <= completed_at! && completed_at! <= Date.now() / 1000);
  const [message] = output;
  assert(message?.type === "message" && message.id.startsWith("msg_"));
  assertEquals({ ...message, id: "" }, {
    id: "",
    type: "message",
    status: "completed",
    role: "assistant",
    content: [{
      type: "output_text",
      text: "hello",
      annotations: [],
      logprobs: [],
    }],
  });
  assertEquals(usage!.total_tokens, usage!.input_tokens + usage!.output_tokens);
  assertEquals([rest.status, rest.instructions, rest.model, rest.metadata], [
    "completed",
    "Be brief.",
    "scripted",
    { a: "b" },
  ]);
  assertEquals(rest.everstream.resumed, null);
  assertEquals(await app.openai.responses.retrieve(id), response);
  const items = await Array.fromAsync(app.openai.responses.inputItems.list(id));
  assertEquals(items.map((item) => "content" in item && item.content), [
    [{ type: "input_text", text: "Hi" }],
  ]);
});

Deno.test("responses: a stream has OpenAI's events, numbered without gaps, and its helper builds the response", async () => {
  await using app = await storedApp();
  const stream = app.openai.responses.stream({
    model: "default",
    temperature: 0,
    input: "Hi",
  });
  const events = await Array.fromAsync(stream);
  assertEquals(events.map(({ sequence_number }) => sequence_number), [
    ...events.keys(),
  ]);
  const types = events.map(({ type }) => type.replace("response.", ""));
  const deltas = types.filter((type) => type === "output_text.delta").length;
  assertEquals(types, [
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    ...Array(deltas).fill("output_text.delta"),
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "completed",
  ]);
  const final = await stream.finalResponse();
  assertEquals(final.output_text, "hello");
  const { usage, output_text } = await app.openai.responses.retrieve(final.id);
  assertEquals([usage, output_text], [final.usage, final.output_text]);
});

Deno.test("responses: a chain costs what is new, from its slot", async () => {
  await using app = await storedApp();
  let previous = await ask(app, "one", { instructions: "Be brief." });
  app.decoder.takeCost();
  for (const input of ["two", "three"]) {
    const next = await ask(app, input, {
      previous_response_id: previous.id,
      instructions: "Be brief.",
    });
    assertEquals([next.everstream.resumed, next.everstream.branched], [
      "slot",
      false,
    ]);
    const { input_tokens, input_tokens_details } = next.usage!;
    const fresh = input_tokens - input_tokens_details.cached_tokens;
    // The message, its frame and the answer: the instructions are in effect already.
    assert(fresh < 40, `${fresh} tokens`);
    const cost = app.decoder.takeCost();
    assertEquals(cost, fresh + next.usage!.output_tokens - 1);
    previous = next;
  }
  assertEquals(
    app.decoder.text(0).split("Be brief.").length,
    2,
  );
});

Deno.test("responses: new instructions are said where they are given", async () => {
  await using app = await storedApp();
  const one = await ask(app, "one", { instructions: "Be brief." });
  await ask(app, "two", {
    previous_response_id: one.id,
    instructions: "Rhyme.",
  });
  const text = app.decoder.text(0);
  assert(text.indexOf("Be brief.") < text.indexOf("one"));
  assert(text.indexOf("hello") < text.indexOf("Rhyme."));
  assert(text.indexOf("Rhyme.") < text.indexOf("two"));
});

for (const snapshotBytes of [0, 1e6]) {
  Deno.test(`responses: an older response branches, and a model that has forgotten all goes on (${snapshotBytes} bytes of snapshots)`, async () => {
    await using app = await storedApp({ snapshotBytes });
    const way = snapshotBytes === 0 ? "replay" : "snapshot";
    const one = await ask(app, "one");
    await eventually(() =>
      snapshotBytes === 0 || app.store.snapshots.bytes > 0
    );
    const two = await ask(app, "two", { previous_response_id: one.id });
    const text = app.decoder.text(0);
    const branch = await ask(app, "two", { previous_response_id: one.id });
    assertEquals([branch.everstream.resumed, branch.everstream.branched], [
      way,
      true,
    ]);
    assertEquals(app.decoder.text(1), text);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const decoder = app.restart();
    const three = await ask(app, "three", { previous_response_id: two.id });
    assertEquals([three.everstream.resumed, three.everstream.branched], [
      way,
      false,
    ]);
    const more = await ask(app, "four", { previous_response_id: branch.id });
    assertEquals(more.everstream.resumed, way);
    assertEquals(decoder.text(0).startsWith(text), true);
    assertEquals(decoder.text(1).startsWith(text), true);
    assertEquals(app.reported, []);
  });
}

Deno.test("responses: a stream that is cut is resumed: every event once, in order", async () => {
  await using app = await storedApp();
  app.decoder.answer = TOKENIZER.encode("hello hello hello hello");
  const whole = await Array.fromAsync(
    await app.openai.responses.create({
      model: "default",
      temperature: 0,
      input: "Hi",
      stream: true,
    }),
  );
  for (const cut of [0, 3, 6, whole.length - 2]) {
    const release = hold(app.decoder, 2 + Math.max(0, cut - 4));
    const stream = await app.openai.responses.create({
      model: "default",
      temperature: 0,
      input: "Hi",
      stream: true,
    });
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    const timer = setTimeout(release, 30);
    for await (const event of stream) {
      events.push(event);
      if (event.sequence_number === cut) break; // the connection is lost
    }
    clearTimeout(timer);
    release();
    const created = events[0]!;
    assert(created.type === "response.created");
    const rest = await app.openai.responses.retrieve(created.response.id, {
      stream: true,
      starting_after: cut,
    });
    for await (const event of rest) events.push(event);
    assertEquals(events.map(({ sequence_number }) => sequence_number), [
      ...whole.keys(),
    ]);
    assertEquals(events.map(({ type }) => type), whole.map(({ type }) => type));
    const deltas = events.map((event) =>
      event.type === "response.output_text.delta" ? event.delta : ""
    );
    assertEquals(deltas.join(""), "hello hello hello hello");
  }
});

Deno.test("responses: one that is not stored ends when its client leaves, and leaves nothing", async () => {
  await using app = await storedApp();
  app.decoder.answer = Array(80).fill(TOKENIZER.encode("hello")).flat();
  const release = hold(app.decoder, 2);
  const stream = await app.openai.responses.create({
    model: "default",
    temperature: 0,
    input: "Hi",
    stream: true,
    store: false,
  });
  let id = "";
  for await (const event of stream) {
    if (event.type === "response.created") id = event.response.id;
    else break;
  }
  release();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(app.decoder.batches.length < 20);
  app.restart();
  assertEquals((await refused(app.openai.responses.retrieve(id)))[0], 404);
  const kept = await ask(app, "one");
  const unkept = await ask(app, "two", {
    store: false,
    previous_response_id: kept.id,
  });
  assertEquals(unkept.output_text, "hello");
  assertEquals(unkept.everstream.resumed, "slot");
  assertEquals(
    (await refused(app.openai.responses.retrieve(unkept.id)))[0],
    404,
  );
  assertEquals(
    await refused(ask(app, "x", { previous_response_id: unkept.id })),
    [404, "previous_response_not_found", "previous_response_id"],
  );
});

Deno.test("responses: a client who leaves a stream that waits is no error", async () => {
  await using app = await storedApp();
  const release = hold(app.decoder, 2);
  for (const store of [true, false]) {
    const response = await app.send("POST", "/v1/responses", {
      input: "Hi",
      stream: true,
      store,
    });
    await response.body!.cancel();
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  release();
  await eventually(() => app.decoder.batches.length > 2);
  assertEquals(app.reported, []);
});

Deno.test("responses: a conversation keeps the turn of a response that is not stored", async () => {
  await using app = await storedApp();
  const { id: conversation } = await app.openai.conversations.create();
  const one = await ask(app, "one", { conversation, store: false });
  assertEquals((await refused(app.openai.responses.retrieve(one.id)))[0], 404);
  const two = await ask(app, "two", { conversation });
  assertEquals(two.everstream.resumed, "slot");
  const items = await Array.fromAsync(
    app.openai.conversations.items.list(conversation),
  );
  assertEquals(items.length, 4);
});

Deno.test("responses: a stream in the background goes on without its reader, with pings while it waits", async () => {
  await using app = await storedApp({ pingInterval: 10 });
  const release = hold(app.decoder);
  const response = await app.send("POST", "/v1/responses", {
    input: "Hi",
    temperature: 0,
    stream: true,
    background: true,
  });
  assertEquals(
    response.headers.get("content-type"),
    "text/event-stream; charset=utf-8",
  );
  const reader = response.body!.pipeThrough(new TextDecoderStream())
    .getReader();
  let text = "";
  while (!text.includes(": ping")) text += (await reader.read()).value;
  await reader.cancel();
  const { response: { id } } = JSON.parse(/^data: (.*)$/m.exec(text)![1]!);
  release();
  let status: string | undefined = "in_progress";
  while (status === "in_progress") {
    ({ status } = await app.openai.responses.retrieve(id));
  }
  assertEquals(status, "completed");
  const events = await app.send("GET", `/v1/responses/${id}?stream=true`);
  assert((await events.text()).includes("event: response.completed\ndata: {"));
});

Deno.test("responses: background answers at once, and can be cancelled", async () => {
  await using app = await storedApp();
  const release = hold(app.decoder);
  const begun = await ask(app, "Hi", { background: true });
  assertEquals([begun.status, begun.output, begun.background], [
    "in_progress",
    [],
    true,
  ]);
  assertEquals(
    await refused(ask(app, "x", { previous_response_id: begun.id })),
    [409, "conversation_locked", "previous_response_id"],
  );
  const cancelling = app.openai.responses.cancel(begun.id);
  setTimeout(release, 200);
  const cancelled = await cancelling;
  assertEquals(cancelled.status, "cancelled");
  assertEquals(await app.openai.responses.cancel(begun.id), cancelled);
  assertEquals(
    (await refused(ask(app, "x", { previous_response_id: begun.id })))[0],
    404,
  );
  const done = await ask(app, "Hi", { background: true });
  let status = done.status;
  while (status === "in_progress") {
    status = (await app.openai.responses.retrieve(done.id)).status;
  }
  assertEquals(status, "completed");
});

Deno.test("responses: deleting erases, also while it runs", async () => {
  await using app = await storedApp();
  const one = await ask(app, "one");
  await app.openai.responses.delete(one.id);
  assertEquals((await refused(app.openai.responses.retrieve(one.id)))[0], 404);
  assertEquals((await refused(app.openai.responses.delete(one.id)))[0], 404);
  const release = hold(app.decoder, 2);
  const stream = await app.openai.responses.create({
    model: "default",
    temperature: 0,
    input: "Hi",
    stream: true,
  });
  const error = await assertRejects(async () => {
    for await (const event of stream) {
      if (event.type !== "response.created") continue;
      await app.openai.responses.delete(event.response.id);
      release();
    }
  }, OpenAI.APIError);
  assertEquals(
    (error as InstanceType<typeof OpenAI.APIError>).code,
    "response_deleted",
  );
  await eventually(() => app.decoder.runs.length > 0);
  assertEquals(app.reported, []);
});

Deno.test("responses: an Idempotency-Key is one turn, whatever comes of the connection", async () => {
  await using app = await storedApp();
  const { id: conversation } = await app.openai.conversations.create();
  const body = { input: "Hi", conversation };
  const key = { "idempotency-key": "k1" };
  const release = hold(app.decoder, 2);
  const first = app.send("POST", "/v1/responses", body, key);
  await eventually(() => app.decoder.batches.length > 2);
  const second = app.send("POST", "/v1/responses", { ...body }, key);
  const other = await app.send(
    "POST",
    "/v1/responses",
    { ...body, input: "x" },
    key,
  );
  assertEquals([other.status, (await other.json()).error.code], [
    422,
    "idempotency_key_reused",
  ]);
  release();
  const answers = await Promise.all(
    [first, second].map(async (r) => await (await r).json()),
  );
  assertEquals(answers[0], answers[1]);
  const third = await app.send("POST", "/v1/responses", body, key);
  assertEquals(third.headers.get("idempotent-replayed"), "true");
  assertEquals(await third.json(), answers[0]);
  const streamed = await app.send("POST", "/v1/responses", {
    ...body,
    stream: true,
  }, {
    "idempotency-key": "k2",
  });
  const events = await streamed.text();
  const again = await app.send("POST", "/v1/responses", {
    ...body,
    stream: true,
  }, {
    "idempotency-key": "k2",
  });
  assertEquals(await again.text(), events);
  const items = await Array.fromAsync(
    app.openai.conversations.items.list(conversation),
  );
  assertEquals(items.length, 4);
});

Deno.test("responses: the client's own retries are one turn, and the same words again another", async () => {
  await using app = await storedApp();
  const { id: conversation } = await app.openai.conversations.create();
  let cut = 1;
  const openai = new OpenAI({
    baseURL: `${app.base}/v1`,
    apiKey: "none",
    maxRetries: 2,
    logLevel: "off",
    async fetch(url, init) {
      const response = await fetch(url as string, init as RequestInit);
      if (cut-- > 0) {
        await response.body?.cancel();
        throw new TypeError("connection reset");
      }
      return response;
    },
  });
  const say = () =>
    openai.responses.create({
      model: "default",
      temperature: 0,
      input: "yes",
      conversation,
    });
  const first = await say();
  const second = await say();
  assert(first.id !== second.id);
  cut = 2;
  await say();
  const items = await Array.fromAsync(
    openai.conversations.items.list(conversation, { order: "asc" }),
  );
  assertEquals(items.length, 6);
});

Deno.test("responses: a refusal comes with its status, and leaves nothing", async () => {
  await using app = await storedApp({ slots: 1, limits: { queue: 0 } });
  const clock = { type: "function", name: "clock" };
  const cases: [Record<string, unknown>, [number, string, string | null]][] = [
    [{ model: "gpt-5" }, [404, "model_not_found", "model"]],
    [{ input: undefined }, [400, "missing_required_parameter", "input"]],
    [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, [
      400,
      "invalid_value",
      "input[0].content[0].type",
    ]],
    [{ input: [{ type: "item_reference", id: "x" }] }, [
      400,
      "invalid_value",
      "input[0].type",
    ]],
    [{ input: [{ type: "function_call", name: "f", call_id: 1 }] }, [
      400,
      "invalid_type",
      "input[0].call_id",
    ]],
    [{ text: { verbosity: "low" } }, [400, "invalid_value", "text.verbosity"]],
    [{
      text: {
        format: {
          type: "json_schema",
          name: "n",
          schema: { type: "array", uniqueItems: true },
        },
      },
    }, [400, "invalid_value", "text.format.schema.uniqueItems"]],
    ...[
      [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
      [{ tools: [{ type: "mcp", server_label: "x" }] }, "tools[0].type"],
      // The template has neither.
      [{ tools: [clock] }, "tools"],
      [{
        input: [{
          type: "function_call",
          call_id: "1",
          name: "clock",
          arguments: "{}",
        }],
      }, "input"],
      [{ tool_choice: "required" }, "tool_choice"],
      [
        { tools: [clock], tool_choice: { type: "function", name: "bell" } },
        "tool_choice.name",
      ],
      [{ tool_choice: { type: "file_search" } }, "tool_choice.type"],
      [{
        tools: [{
          ...clock,
          strict: true,
          parameters: { type: "object", properties: { a: { not: {} } } },
        }],
      }, "tools[0].parameters.properties.a.not"],
    ].map(([change, param]): typeof cases[number] => [
      change as Record<string, unknown>,
      [400, "invalid_value", param as string],
    ]),
    [{ nonsense: 1 }, [400, "unknown_parameter", "nonsense"]],
    [{ temperature: 3 }, [400, "invalid_value", "temperature"]],
    [{ metadata: { a: 1 } }, [400, "invalid_type", "metadata.a"]],
    [{ background: true, store: false }, [400, "invalid_value", "background"]],
    [{ conversation: "a", previous_response_id: "b" }, [
      400,
      "invalid_value",
      "previous_response_id",
    ]],
    [{ conversation: "conv_none" }, [
      404,
      "conversation_not_found",
      "conversation",
    ]],
    [{ everstream: { window: 1 << 19 } }, [
      400,
      "invalid_value",
      "everstream.window",
    ]],
  ];
  for (const [change, expected] of cases) {
    for (const stream of [false, true]) {
      const response = await app.send("POST", "/v1/responses", {
        input: "Hi",
        ...change,
        stream,
      });
      const { error } = await response.json();
      assertEquals([response.status, error.code, error.param], expected);
      assertEquals(error.type, "invalid_request_error");
    }
  }
  const release = hold(app.decoder);
  const { id } = await ask(app, "Hi", { background: true });
  assertEquals(await refused(ask(app, "Hi")), [503, "queue_full", null]);
  release();
  let status: string | undefined = "in_progress";
  while (status === "in_progress") {
    status = (await app.openai.responses.retrieve(id)).status;
  }
});

Deno.test("responses: truncation disabled refuses what does not fit", async () => {
  await using app = await storedApp();
  const policy = { everstream: { sinks: 4, window: 28 } };
  const one = await ask(app, "Hi", policy as object);
  const more = { previous_response_id: one.id };
  assertEquals(
    await refused(ask(app, "more", { ...more, truncation: "disabled" })),
    [400, "invalid_value", "truncation"],
  );
  assertEquals((await ask(app, "more", more)).status, "completed");
  const cut = await ask(app, "Hi", { max_output_tokens: 2 });
  assertEquals([cut.status, cut.incomplete_details], [
    "incomplete",
    { reason: "max_output_tokens" },
  ]);
  const after = await ask(app, "more", { previous_response_id: cut.id });
  assertEquals(after.everstream.resumed, "slot");
});

Deno.test("responses: input tokens are counted as they will be", async () => {
  await using app = await storedApp();
  const count = async (
    body: OpenAI.Responses.InputTokenCountParams,
  ) => (await app.openai.responses.inputTokens.count(body)).input_tokens;
  const counted = await count({ input: "Hi", instructions: "Be brief." });
  const one = await ask(app, "Hi", { instructions: "Be brief." });
  assertEquals(counted, one.usage!.input_tokens);
  const more = { previous_response_id: one.id };
  const further = await count({ input: "two", ...more });
  const two = await ask(app, "two", more);
  assertEquals(further, two.usage!.input_tokens);
});

Deno.test("responses: an answer that fails is told, and its turn is not there", async () => {
  await using app = await storedApp();
  const { id: conversation } = await app.openai.conversations.create();
  app.decoder.failAfter = 3;
  const events = await Array.fromAsync(
    await app.openai.responses.create({
      model: "default",
      temperature: 0,
      input: "Hi",
      stream: true,
      conversation,
    }),
  );
  const last = events.at(-1)!;
  assert(last.type === "response.failed");
  assertEquals(last.response.error!.code, "server_error");
  assert(!JSON.stringify(last).includes("engine broke"));
  assertEquals(app.reported.length, 1);
  app.decoder.failAfter = 3;
  assertEquals(
    (await refused(ask(app, "Hi", { conversation })))[0],
    500,
  );
  app.decoder.failAfter = Infinity;
  assertEquals((await ask(app, "Hi", { conversation })).output_text, "hello");
  const items = await Array.fromAsync(
    app.openai.conversations.items.list(conversation),
  );
  assertEquals(items.length, 2);
});
