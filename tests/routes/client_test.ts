import { assert, assertEquals, assertMatch } from "@std/assert";
import { client, hello, post, served, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function clientOf(authorization?: string) {
  const { chat, model } = testApp();
  const headers: HeadersInit = authorization === undefined
    ? {}
    : { authorization };
  await (await chat(hello(), { headers })).body?.cancel();
  return model.requests[0]!.client;
}

Deno.test("a client with a key is known by a digest of it", async () => {
  // printf sk-1 | sha256sum | head -c 32
  const digest = "0f2c10bf3d128c719c6bfa4ecbae94b7";
  assertEquals(await clientOf("Bearer sk-1"), { owner: digest, id: digest });
  assertEquals(await clientOf("bearer   sk-1"), { owner: digest, id: digest });
  assert((await clientOf("Bearer sk-2")).owner !== digest);
});

for (const header of [undefined, "", "Bearer", "Bearer ", "Basic c2stMQ=="]) {
  Deno.test(`without a key there is no owner: ${header}`, async () => {
    assertEquals(await clientOf(header), { owner: "", id: "" });
  });
}

Deno.test("a client without a key is known by its address, one with a key is not", async () => {
  const app = testApp();
  await served(app, async (base) => {
    const url = `${base}/v1/chat/completions`;
    await (await fetch(url, post(hello()))).json();
    await client(base).chat.completions.create({
      model: "default",
      messages: [{ role: "user", content: "Hi" }],
    });
  });
  const [anonymous, known] = app.model.requests.map(({ client }) => client);
  assertEquals(anonymous, { owner: "", id: "127.0.0.1" });
  assertMatch(known!.owner, /^[0-9a-f]{32}$/);
  assertEquals(known!.id, known!.owner);
});

Deno.test("a client on a Unix socket has no address", async () => {
  const app = testApp();
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/socket`;
    await using _server = Deno.serve(
      { path, onListen: () => {} },
      app.app.fetch,
    );
    using socket = await Deno.connect({ transport: "unix", path });
    const body = JSON.stringify(hello());
    const request = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n` +
      `connection: close\r\n\r\n${body}`;
    await socket.write(new TextEncoder().encode(request));
    const answer = await new Response(socket.readable).text();
    assertMatch(answer, /^HTTP\/1\.1 200 /);
    assertEquals(app.model.requests[0]!.client, { owner: "", id: "" });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
