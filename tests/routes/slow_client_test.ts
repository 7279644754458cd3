/** Streams over real connections, to clients that do not read or that leave. */
import { assert, assertEquals } from "@std/assert";
import { eventually, frames, hello, post, served, testApp } from "./harness.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Larger together than what the kernel holds of a connection. */
const PIECES = Array.from(
  { length: 600 },
  (_, i) => `${i} ${"x".repeat(65_536)}`,
);

/** Asks for a stream and reads nothing. HTTP/1.0: its answer ends with the connection, unchunked. */
async function askOnly(base: string): Promise<Deno.TcpConn> {
  const body = JSON.stringify(hello({ stream: true }));
  const { hostname, port } = new URL(base);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const head = "POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\n" +
    `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head + body));
  return connection;
}

async function askAndRead(base: string): Promise<string> {
  const url = `${base}/v1/chat/completions`;
  return await (await fetch(url, post(hello({ stream: true })))).text();
}

/** The numbers that the text frames begin with, and the last frame's data. */
function outline(body: string): { numbers: number[]; last: string } {
  const data = frames(body).map((frame) => frame.slice("data: ".length));
  const numbers = data.slice(1)
    .filter((text) => text.startsWith('{"id"'))
    .map((text) => JSON.parse(text).choices[0].delta.content)
    .filter((content) => content !== undefined)
    .map((content) => parseInt(content));
  return { numbers, last: data.at(-1)! };
}

function upTo(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

Deno.test("a client that does not read has its answer ended, and one beside it gets all of its own", async () => {
  const app = testApp({ pieces: PIECES, delay: 1 }, { backlog: 60 });
  const { model, reported } = app;
  await served(app, async (base) => {
    using slow = await askOnly(base);
    const [fast] = await Promise.all([
      askAndRead(base),
      eventually(() => model.returned === 1, 20_000),
    ]);
    assertEquals(outline(fast), { numbers: upTo(600), last: "[DONE]" });
    assertEquals(model.finished, 1);

    const answer = await new Response(slow.readable).text();
    const { numbers, last } = outline(answer.split("\r\n\r\n")[1]!);
    assert(numbers.length > 60 && numbers.length < 600, `${numbers.length}`);
    assertEquals(numbers, upTo(numbers.length));
    assertEquals(JSON.parse(last).error.code, "client_too_slow");
    assertEquals(model.emitted, 601 + numbers.length);
  });
  assertEquals(reported, []);
});

Deno.test("a client that reads late but within the backlog gets everything", async () => {
  const app = testApp({ pieces: PIECES, delay: 1 });
  await served(app, async (base) => {
    using slow = await askOnly(base);
    await eventually(() => app.model.finished === 1, 20_000);
    const answer = await new Response(slow.readable).text();
    assertEquals(outline(answer.split("\r\n\r\n")[1]!), {
      numbers: upTo(600),
      last: "[DONE]",
    });
  });
  assertEquals(app.model.returned, 0);
});

Deno.test("a client that leaves without having read frees the model", async () => {
  const pieces = Array(20_000).fill("x".repeat(65_536)); // more than is sent while its leaving is noticed
  const app = testApp({ pieces, delay: 1 }, { backlog: pieces.length });
  await served(app, async (base) => {
    const slow = await askOnly(base);
    await eventually(() => app.model.emitted > 250, 20_000);
    slow.close();
    await eventually(() => app.model.returned === 1);
  });
  assert(app.model.emitted < pieces.length, `${app.model.emitted}`);
  assertEquals(app.reported, []);
});

Deno.test("a client that leaves the queue frees its place", async () => {
  const app = testApp({ queueDelay: 60_000 });
  await served(app, async (base) => {
    const queued = await askOnly(base);
    await eventually(() => app.model.requests.length === 1);
    queued.close();
    await eventually(() => app.model.returned === 1);
    assertEquals((await app.model.state()).waiting, 0);
  });
  assertEquals(app.reported, []);
});
