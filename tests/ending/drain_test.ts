import { assert, assertEquals, assertRejects } from "@std/assert";
import { Drain } from "../../lib/ending/drain.ts";
import { ScriptedModel } from "../scripted_model.ts";
import { hello, testApp } from "../routes/harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const request = {
  client: { owner: "", id: "" },
  messages: [],
  sampling: {},
  stop: [],
};

Deno.test("drain: requests that come while it lasts are 503 and end their connection", async () => {
  const drain = new Drain();
  const { app, chat, model } = testApp({ delay: 10 }, { drain });
  const before = await chat(hello({ stream: true }));
  drain.begin();
  for (const path of ["/", "/health", "/v1/models", "/nothing"]) {
    const response = await app.request(path);
    assertEquals(response.status, 503, path);
    assertEquals(response.headers.get("connection"), "close");
    assertEquals(response.headers.get("retry-after"), "1");
    assertEquals((await response.json()).error.code, "server_stopping");
  }
  assertEquals(await drain.idle(0), false);
  const [idle, text] = await Promise.all([drain.idle(5_000), before.text()]);
  assert(idle);
  assert(text.endsWith("data: [DONE]\n\n"), text);
  assertEquals(model.requests.length, 1);
});

Deno.test("drain: is idle when nothing runs, and tells when time is up", async () => {
  const drain = new Drain();
  assert(await drain.idle(60_000));
  const leave = [drain.enter(), drain.enter()];
  assertEquals(await drain.idle(5), false);
  const idle = drain.idle(60_000);
  for (const one of leave) one();
  assert(await idle);
});

Deno.test("drain: stopping fails a pending step and those that begin, and frees the model", async () => {
  const drain = new Drain();
  const inner = new ScriptedModel({ firstDelay: 60_000 });
  const model = drain.endable(inner);
  const events = model.generate(request);
  assertEquals((await events.next()).value?.type, "start");
  const pending = events.next();
  drain.stop();
  await assertRejects(() => pending, Error, "stopping");
  await assertRejects(() => events.next(), Error, "stopping");
  assertEquals(inner.returned, 1);
  await assertRejects(() => model.generate(request).next(), Error, "stopping");
  assert(await drain.idle(0));
});

Deno.test("drain: answers run until they are over, left or failed; one that never began does not", async () => {
  const drain = new Drain();
  const model = drain.endable(new ScriptedModel());
  model.generate(request);
  assert(await drain.idle(0));
  for await (const event of model.generate(request)) {
    assertEquals(await drain.idle(0), false, event.type);
  }
  assert(await drain.idle(0));
  for await (const _ of model.generate(request)) break;
  assert(await drain.idle(0));
  const failing = drain.endable(new ScriptedModel({ failAt: 0 }));
  await assertRejects(async () => {
    for await (const _ of failing.generate(request)) { /* until it fails */ }
  });
  assert(await drain.idle(0));
});
