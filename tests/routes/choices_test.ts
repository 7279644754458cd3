import { assert, assertEquals, assertRejects } from "@std/assert";
import { RequestError } from "../../lib/chat/chat_model.ts";
import {
  client,
  eventually,
  frames,
  hello,
  served,
  testApp,
} from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const messages = [{ role: "user" as const, content: "Hi" }];

Deno.test("n answers have their indexes, seeds of their own, and one prompt in the usage", async () => {
  const app = testApp();
  await served(app, async (base) => {
    const completion = await client(base).chat.completions.create({
      model: "default",
      messages,
      n: 3,
      seed: 7,
    });
    assertEquals(
      completion.choices.map(({ index, message, finish_reason }) => [
        index,
        message.content,
        finish_reason,
      ]),
      [0, 1, 2].map((index) => [index, "Hello, world", "stop"]),
    );
    const { usage } = completion;
    assertEquals([usage!.prompt_tokens, usage!.completion_tokens], [3, 9]);
    assertEquals(usage!.prompt_tokens_details!.cached_tokens, 1);
  });
  const seeds = app.model.requests.map(({ sampling }) => sampling.seed);
  assertEquals(seeds[0], 7);
  assertEquals(new Set(seeds).size, 3);
  assert(seeds.every(Number.isSafeInteger));
  assertEquals(app.model.requests.map(({ choices }) => choices), [3, 3, 3]);
});

Deno.test("n answers stream side by side, each whole and in order", async () => {
  const app = testApp({ pieces: ["a", "b", "c"], delay: 5 });
  await served(app, async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "default",
      messages,
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const seen: string[] = [];
    const texts = ["", ""];
    const ends: number[] = [];
    let usage;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const { index, delta, finish_reason } of chunk.choices) {
        texts[index] += delta.content ?? "";
        if (delta.content) seen.push(`${index}${delta.content}`);
        if (finish_reason) ends.push(index);
      }
    }
    assertEquals(texts, ["abc", "abc"]);
    assertEquals(ends.sort(), [0, 1]);
    assert(seen.indexOf("1a") < seen.indexOf("0c"), seen.join());
    assertEquals([usage!.prompt_tokens, usage!.completion_tokens], [3, 6]);
  });
});

Deno.test("a stream of n answers has one end", async () => {
  const { chat } = testApp({ pieces: ["a"] });
  const all = frames(await (await chat(hello({ n: 2, stream: true }))).text());
  assertEquals(all.filter((frame) => frame === "data: [DONE]").length, 1);
  assertEquals(all.at(-1), "data: [DONE]");
  const roles = all.filter((frame) => frame.includes('"role":"assistant"'));
  assertEquals(roles.length, 2);
});

Deno.test("leaving a stream of n answers frees all of them", async () => {
  const app = testApp({ delay: 60_000 });
  await served(app, async (base) => {
    const stream = await client(base).chat.completions.create({
      model: "default",
      messages,
      n: 3,
      stream: true,
    });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    await eventually(() => app.model.returned === 3);
    assertEquals(app.reported, []);
  });
});

Deno.test("leaving n whole answers frees all of them", async () => {
  const app = testApp({ delay: 60_000 });
  const controller = new AbortController();
  const response = app.chat(hello({ n: 3 }), { signal: controller.signal });
  await eventually(() => app.model.emitted === 3);
  controller.abort();
  await (await response).body?.cancel();
  assertEquals(app.model.returned, 3);
});

Deno.test("an answer that fails ends its siblings", async () => {
  const app = testApp({ failAt: 1, error: new RequestError("no", "n") });
  const response = await app.chat(hello({ n: 2 }));
  assertEquals(response.status, 400);
  await response.body?.cancel();
  assertEquals([app.model.returned, app.model.finished], [1, 0]);
  const silent = testApp({ noEnd: true });
  const failed = await silent.chat(hello({ n: 2 }));
  assertEquals(failed.status, 500);
  await failed.body?.cancel();
});

Deno.test("n over 8 is refused by name", async () => {
  await served(testApp(), async (base) => {
    await assertRejects(
      () =>
        client(base).chat.completions.create({
          model: "default",
          messages,
          n: 9,
        }),
      Error,
      "'n' must be an integer from 1 to 8",
    );
  });
});
