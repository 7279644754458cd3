import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { RequestError, UnavailableError } from "../../lib/chat/chat_model.ts";
import {
  client,
  eventually,
  frames,
  hello,
  served,
  testApp,
} from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const CASES = [
  { code: "queue_full", status: 503, type: "overloaded", wait: "3" },
  { code: "queue_timeout", status: 503, type: "overloaded", wait: "3" },
  { code: "model_restarted", status: 503, type: "server_error", wait: "3" },
  { code: "answer_timeout", status: 504, type: "server_error", wait: null },
] as const;

for (const { code, status, type, wait } of CASES) {
  for (const stream of [false, true]) {
    Deno.test(`${code} is a ${status}, stream ${stream}`, async () => {
      const refusal = new UnavailableError(code, "Not now. Try later.", 2.5);
      const { chat, reported } = testApp({ refusal, queueDelay: 10 });
      const response = await chat(hello({ stream }));
      assertEquals(response.status, status);
      assertEquals(response.headers.get("retry-after"), wait);
      assertMatch(
        response.headers.get("access-control-expose-headers")!,
        /retry-after/,
      );
      assertEquals(await response.json(), {
        error: { message: "Not now. Try later.", type, param: null, code },
      });
      assertEquals(reported, []);
    });
  }

  Deno.test(`${code} in a stream that has begun is an error frame`, async () => {
    const error = new UnavailableError(code, "Not now. Try later.", 2.5);
    const { chat, reported } = testApp({ failAt: 1, error });
    const response = await chat(hello({ stream: true }));
    assertEquals(response.status, 200);
    const all = frames(await response.text());
    assertEquals(all.length, 3);
    assertEquals(JSON.parse(all[2]!.slice(6)), {
      error: { message: "Not now. Try later.", type, param: null, code },
    });
    assertEquals(reported, []);
  });
}

Deno.test("a stream's headers wait until its request has left the queue", async () => {
  const { chat, model } = testApp({ queueDelay: 1200, firstDelay: 60_000 });
  let answered = false;
  const pending = chat(hello({ stream: true })).then((response) => {
    answered = true;
    return response;
  });
  await eventually(() => model.requests.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 1050));
  assertEquals([answered, await model.state().then((s) => s.waiting)], [
    false,
    1,
  ]);
  const response = await pending;
  assertEquals(response.status, 200);
  await response.body!.cancel();
  assertEquals(model.returned, 1);
});

Deno.test("what is refused after a long queue is a 400 in a stream, too", async () => {
  const refusal = new RequestError("No such token.", "logit_bias");
  const { chat } = testApp({ refusal, queueDelay: 60 });
  const response = await chat(hello({ stream: true }));
  assertEquals(response.status, 400);
  assertEquals((await response.json()).error.param, "logit_bias");
});

Deno.test("openai: a full queue is an error with status and Retry-After", async () => {
  const refusal = new UnavailableError("queue_full", "Not now.", 7);
  await served(testApp({ refusal }), async (base) => {
    const error = await assertRejects(
      () =>
        client(base).chat.completions.create({
          model: "default",
          messages: [{ role: "user", content: "Hi" }],
          stream: true,
        }),
      OpenAI.InternalServerError,
    );
    assert(error instanceof OpenAI.APIError);
    assertEquals([error.status, error.code, error.type], [
      503,
      "queue_full",
      "overloaded",
    ]);
    assertEquals(error.headers!.get("retry-after"), "7");
  });
});
