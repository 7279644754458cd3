/** `/v1/conversations`, by OpenAI's client and bare, over HTTP. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { hold, type StoredApp, storedApp } from "./stored_app.ts";
import { eventually } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const user = (content: string) => ({ role: "user" as const, content });

async function textsOf(
  { openai }: StoredApp,
  conversation: string,
): Promise<string[]> {
  const items = await Array.fromAsync(
    openai.conversations.items.list(conversation, { order: "asc", limit: 3 }),
  );
  return items.map((item) => {
    assert(item.type === "message");
    return item.content.map((part) => "text" in part ? part.text : "?").join();
  });
}

async function statusOf(
  promise: Promise<unknown>,
): Promise<number | undefined> {
  const error = await assertRejects(() => promise, OpenAI.APIError);
  return (error as InstanceType<typeof OpenAI.APIError>).status;
}

Deno.test("conversations: are made, read, changed and deleted", async () => {
  await using app = await storedApp();
  const { conversations } = app.openai;
  const made = await conversations.create({ metadata: { a: "b" } });
  assertEquals([made.object, made.metadata], ["conversation", { a: "b" }]);
  assert(made.id.startsWith("conv_"));
  assertEquals(await conversations.retrieve(made.id), made);
  const changed = await conversations.update(made.id, { metadata: { c: "d" } });
  assertEquals(changed, { ...made, metadata: { c: "d" } });
  assertEquals(await conversations.delete(made.id), {
    id: made.id,
    object: "conversation.deleted",
    deleted: true,
  });
  assertEquals(await statusOf(conversations.retrieve(made.id)), 404);
  assertEquals(await statusOf(conversations.delete(made.id)), 404);
});

Deno.test("conversations: one begins without a body, too", async () => {
  await using app = await storedApp();
  const bare = { authorization: "Bearer none" };
  for (const headers of [bare, { ...bare, "content-type": "text/plain" }]) {
    const path = `${app.base}/v1/conversations`;
    const response = await fetch(path, { method: "POST", headers });
    assertEquals(response.status, 200);
    assertEquals((await response.json()).metadata, {});
  }
  const refused = await app.send("POST", "/v1/conversations", null);
  assertEquals(refused.status, 400);
  await refused.body?.cancel();
});

Deno.test("conversations: items are listed in pages, read, added and deleted", async () => {
  await using app = await storedApp();
  const { conversations } = app.openai;
  const { id } = await conversations.create({ items: [user("a"), user("b")] });
  const added = await conversations.items.create(id, {
    items: [{ role: "assistant", content: "c" }, user("d")],
  });
  assertEquals([added.data.length, added.first_id, added.last_id], [
    2,
    added.data[0]!.id,
    added.data[1]!.id,
  ]);
  assertEquals(await textsOf(app, id), ["a", "b", "c", "d"]);
  const of = { conversation_id: id };
  const [first] = added.data;
  assertEquals(await conversations.items.retrieve(first!.id!, of), first);
  assertEquals((await conversations.items.delete(first!.id!, of)).id, id);
  assertEquals(
    await statusOf(conversations.items.retrieve(first!.id!, of)),
    404,
  );
  assertEquals(await textsOf(app, id), ["a", "b", "d"]);
  const newest = await conversations.items.list(id, { limit: 1 });
  assertEquals([newest.data.length, newest.has_more], [1, true]);
});

Deno.test("conversations: turns go on where the last one ended, with the items that were added", async () => {
  await using app = await storedApp();
  const { id: conversation } = await app.openai.conversations.create({
    items: [user("before")],
  });
  const say = async (input?: string) =>
    await app.openai.responses.create({
      model: "default",
      temperature: 0,
      conversation,
      ...(input === undefined ? {} : { input }),
    });
  const one = await say("one");
  assertEquals(one.conversation, { id: conversation });
  await app.openai.conversations.items.create(conversation, {
    items: [user("between")],
  });
  await say();
  await say("three");
  const texts = [
    "before",
    "one",
    "hello",
    "between",
    "hello",
    "three",
    "hello",
  ];
  assertEquals(await textsOf(app, conversation), texts);
  const whole = app.decoder.text(0);
  let at = -1;
  for (const text of texts) at = whole.indexOf(text, at + 1);
  assert(at > 0);
  app.restart();
  const four = await say("four");
  assertEquals(Reflect.get(four, "everstream").resumed, "replay");
  assert(app.decoder.text(0).startsWith(whole));
});

Deno.test("conversations: without an item the next turn reads what is left", async () => {
  await using app = await storedApp();
  const { id: conversation } = await app.openai.conversations.create();
  const say = (input: string) =>
    app.openai.responses.create({
      model: "default",
      temperature: 0,
      conversation,
      input,
    });
  await say("keep");
  await say("secret");
  const items = await Array.fromAsync(
    app.openai.conversations.items.list(conversation, { order: "asc" }),
  );
  await app.openai.conversations.items.delete(items[2]!.id!, {
    conversation_id: conversation,
  });
  await say("more");
  assertEquals(await textsOf(app, conversation), [
    "keep",
    "hello",
    "hello",
    "more",
    "hello",
  ]);
  const held = app.decoder.tokens.map((_, slot) => app.decoder.text(slot));
  assert(
    held.some((text) => text.includes("more") && !text.includes("secret")),
  );
});

Deno.test("conversations: a turn under way keeps others out, and goes with its conversation", async () => {
  await using app = await storedApp();
  const { conversations, responses } = app.openai;
  const { id: conversation } = await conversations.create({
    items: [user("x")],
  });
  const release = hold(app.decoder);
  const body = { model: "default", temperature: 0, conversation, input: "one" };
  const { id } = await responses.create({ ...body, background: true });
  assertEquals(await statusOf(responses.create(body)), 409);
  assertEquals(
    await statusOf(responses.create({ ...body, stream: true })),
    409,
  );
  assertEquals(
    await statusOf(
      conversations.items.create(conversation, { items: [user("y")] }),
    ),
    409,
  );
  assertEquals(
    await statusOf(responses.inputTokens.count({ conversation })),
    409,
  );
  await conversations.delete(conversation);
  assertEquals(await statusOf(responses.retrieve(id)), 404);
  release();
  await eventually(() => app.decoder.batches.length > 0);
  assertEquals(app.reported, []);
});

Deno.test("conversations: one owner finds nothing of another's", async () => {
  await using app = await storedApp({ apiKey: "ada" });
  const { id } = await app.openai.conversations.create({ items: [user("x")] });
  const response = await app.openai.responses.create({
    model: "default",
    temperature: 0,
    conversation: id,
    input: "Hi",
  });
  const items = await Array.fromAsync(app.openai.conversations.items.list(id));
  const eve = { authorization: "Bearer eve" };
  const requests: [string, string, unknown?][] = [
    ["GET", `/v1/conversations/${id}`],
    ["POST", `/v1/conversations/${id}`, { metadata: {} }],
    ["DELETE", `/v1/conversations/${id}`],
    ["GET", `/v1/conversations/${id}/items`],
    ["POST", `/v1/conversations/${id}/items`, { items: [user("y")] }],
    ["GET", `/v1/conversations/${id}/items/${items[0]!.id}`],
    ["DELETE", `/v1/conversations/${id}/items/${items[0]!.id}`],
    ["GET", `/v1/responses/${response.id}`],
    ["GET", `/v1/responses/${response.id}?stream=true`],
    ["GET", `/v1/responses/${response.id}/input_items`],
    ["POST", `/v1/responses/${response.id}/cancel`],
    ["DELETE", `/v1/responses/${response.id}`],
    ["POST", "/v1/responses", { input: "x", conversation: id }],
    ["POST", "/v1/responses", {
      input: "x",
      previous_response_id: response.id,
    }],
    ["POST", "/v1/responses/input_tokens", { input: "x", conversation: id }],
  ];
  for (const [method, path, body] of requests) {
    const answer = await app.send(method, path, body, eve);
    assertEquals([path, answer.status], [path, 404]);
    await answer.body?.cancel();
  }
  assertEquals((await textsOf(app, id)).length, 3);
});

Deno.test("conversations: what is wrong is named", async () => {
  await using app = await storedApp();
  const { id } = await app.openai.conversations.create();
  const items = Array(21).fill(user("x"));
  const cases: [string, string, unknown, number, string | null][] = [
    ["POST", "/v1/conversations", { items }, 400, "items"],
    ["POST", "/v1/conversations", { metadata: [] }, 400, "metadata"],
    ["POST", "/v1/conversations", { name: "x" }, 400, "name"],
    ["POST", `/v1/conversations/${id}`, {}, 400, "metadata"],
    ["POST", `/v1/conversations/${id}/items`, { items: [] }, 400, "items"],
    ["GET", `/v1/conversations/${id}/items?limit=0`, undefined, 400, "limit"],
    ["GET", `/v1/conversations/${id}/items?limit=101`, undefined, 400, "limit"],
    ["GET", `/v1/conversations/${id}/items?order=up`, undefined, 400, "order"],
    ["GET", `/v1/conversations/${id}/items?after=x`, undefined, 404, null],
    [
      "GET",
      `/v1/responses/x?starting_after=-1`,
      undefined,
      400,
      "starting_after",
    ],
    ["PUT", `/v1/conversations/${id}`, undefined, 405, null],
    ["PATCH", "/v1/responses/x", undefined, 405, null],
    ["GET", "/v1/conversations", undefined, 405, null],
  ];
  for (const [method, path, body, status, param] of cases) {
    const answer = await app.send(method, path, body);
    const { error } = await answer.json();
    assertEquals([path, answer.status, error.param], [path, status, param]);
  }
});
