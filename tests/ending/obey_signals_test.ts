/** A server's end, as those see it who use it and those who operate it. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { digestOf } from "../../lib/access/keys.ts";
import { eventually, frames, hello, post } from "../routes/harness.ts";
import { type ServedScript, serveScripted } from "./serve_scripted.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ignore = Deno.build.os === "windows";
const pieces = Array.from({ length: 8 }, (_, i) => `${i} `);

async function ask({ base }: ServedScript, stream = true): Promise<Response> {
  return await fetch(`${base}/v1/chat/completions`, post(hello({ stream })));
}

function requestLines({ lines }: ServedScript) {
  return lines.filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line)
  );
}

for (const [signal, again] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  Deno.test({
    name:
      `${signal}: a stream that ends in time ends as ever, then the server with 0`,
    ignore,
    async fn() {
      const server = await serveScripted({
        patience: 20_000,
        script: { pieces, delay: 100 },
      });
      const response = await ask(server);
      server.process.kill(signal);
      await eventually(() => server.lines.length > 0);
      await assertRejects(() => fetch(`${server.base}/health`), TypeError);
      const text = await response.text();
      assertEquals(frames(text).at(-1), "data: [DONE]");
      assertEquals(frames(text).length, 1 + 8 + 2);
      assertEquals(await server.ended, { code: 0, errors: "" });
      assertEquals(
        server.lines.at(0),
        `${signal}: taking no more requests; answers have 20 s to end.`,
      );
      assertEquals(server.lines.at(-1), "closed");
      assertEquals(requestLines(server)[0].finish_reason, "stop");
    },
  });

  Deno.test({
    name: `${signal}: a second one ends the server at once, with ${again}`,
    ignore,
    async fn() {
      const server = await serveScripted({
        patience: 60_000,
        script: { delay: 60_000 },
      });
      const response = await ask(server);
      let over = false;
      server.ended.then(() => over = true);
      server.process.kill(signal);
      await eventually(() => server.lines.length > 0);
      server.process.kill(signal); // as Ctrl+C comes twice through `deno task`
      await new Promise((resolve) => setTimeout(resolve, 600));
      assert(!over);
      const begun = Date.now();
      server.process.kill(signal);
      assertEquals((await server.ended).code, again);
      assert(Date.now() - begun < 20_000);
      assert(!server.lines.includes("closed"));
      await assertRejects(() => response.text());
    },
  });
}

Deno.test({
  name:
    "SIGTERM: what has not ended in time ends with an error, streamed or whole",
  ignore,
  async fn() {
    const server = await serveScripted({
      patience: 300,
      script: { pieces, delay: 60_000 },
    });
    const whole = ask(server, false);
    const stream = await ask(server);
    const begun = Date.now();
    server.process.kill("SIGTERM");
    const answer = await whole;
    assertEquals([answer.status, answer.headers.get("retry-after")], [
      503,
      "1",
    ]);
    assertEquals((await answer.json()).error.code, "server_stopping");
    const all = frames(await stream.text());
    assertEquals(all.length, 3, all.join("\n"));
    assertEquals(JSON.parse(all[2]!.slice("data: ".length)), {
      error: {
        message: "This server is stopping. Ask again in a moment.",
        type: "server_error",
        param: null,
        code: "server_stopping",
      },
    });
    assertEquals(await server.ended, { code: 0, errors: "" });
    const took = Date.now() - begun;
    assert(took >= 300 && took < 30_000, `${took} ms`);
    assertEquals(
      requestLines(server).map(({ status, error }) => [status, error]).sort(),
      [[200, "server_stopping"], [503, "server_stopping"]],
    );
    assertEquals(server.lines.at(-1), "closed");
  },
});

Deno.test({
  name:
    "SIGTERM: a server that does nothing ends at once, clients that keep their connection or not",
  ignore,
  async fn() {
    const server = await serveScripted({ patience: 60_000 });
    await (await fetch(`${server.base}/health`)).text(); // its connection is kept
    server.process.kill("SIGTERM");
    assertEquals(await server.ended, { code: 0, errors: "" });
  },
});

Deno.test({
  name:
    "SIGHUP: the file of keys is read again, and one that is wrong changes nothing",
  ignore,
  async fn() {
    const keyFile = await Deno.makeTempFile();
    const [old, other] = ["es-0123456789-old", "es-0123456789-new"];
    await Deno.writeTextFile(keyFile, `ada ${digestOf(old)}`);
    const server = await serveScripted({ keyFile });
    const statuses = () =>
      Promise.all([old, other].map(async (key) => {
        const headers = { authorization: `Bearer ${key}` };
        const response = await fetch(`${server.base}/v1/models`, { headers });
        await response.body?.cancel();
        return response.status;
      }));
    const changed = async (text: string) => {
      await Deno.writeTextFile(keyFile, text);
      server.process.kill("SIGHUP");
      // Both answers come after the signal was obeyed: it and they are events of one loop.
      await new Promise((resolve) => setTimeout(resolve, 200));
      return await statuses();
    };
    try {
      assertEquals(await statuses(), [200, 401]);
      assertEquals(await changed(`bob ${digestOf(other)}`), [401, 200]);
      assertEquals(await changed("nonsense"), [401, 200]);
    } finally {
      server.process.kill("SIGTERM");
      await Deno.remove(keyFile);
    }
    const { code, errors } = await server.ended;
    assertEquals(code, 0);
    assert(/ Line 1 .* The keys stay what they were\.\n$/.test(errors), errors);
  },
});
