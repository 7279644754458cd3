/** Nothing that a client sends can make the server ask something of anybody. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { post } from "../routes/harness.ts";
import { serveScripted } from "../ending/serve_scripted.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELSEWHERE = [
  "http://192.0.2.1/x",
  "https://example.com/x",
  "hf:owner/repo/file.gguf",
  "file:///etc/passwd",
  "//example.com",
];

function requests(url: string): [string, RequestInit][] {
  const chat = (body: object) =>
    ["/v1/chat/completions", post(body)] as [string, RequestInit];
  const message = { role: "user", content: url };
  const image = { type: "image_url", image_url: { url } };
  const path = encodeURIComponent(url);
  return [
    chat({ messages: [message], user: url, metadata: { url } }),
    chat({ messages: [message], model: url }),
    chat({ messages: [message], stream: true, stop: [url] }),
    chat({ messages: [{ role: "user", content: [image] }] }),
    chat({ messages: [message], tools: [{ type: "mcp", server_url: url }] }),
    chat({ messages: [message], webhook: url, callback_url: url }),
    [`/v1/models/${path}`, {}],
    [`/v1/models/${path}/plan?tokens=${path}`, {}],
    [`/${path}`, {}],
    [`/health?url=${path}`, {
      headers: {
        origin: url,
        referer: url,
        "x-forwarded-host": url,
        forwarded: `host=${url}`,
        "x-forwarded-for": url,
      },
    }],
    ["/metrics", { headers: { traceparent: url, link: `<${url}>` } }],
  ];
}

Deno.test({
  name:
    "requests full of addresses are answered by a server that may only listen",
  ignore: Deno.build.os === "windows",
  async fn() {
    const server = await serveScripted({
      // The port is the one it listens on: to connect anywhere it is not allowed.
      permissions: ["--allow-net=127.0.0.1:0"],
    });
    const statuses = new Set<number>();
    for (const url of ELSEWHERE) {
      for (const [path, init] of requests(url)) {
        const response = await fetch(server.base + path, init);
        await response.text();
        assert(
          response.status < 500,
          `${response.status} of ${path} ${init.body}`,
        );
        statuses.add(response.status);
      }
    }
    assert(statuses.has(200) && statuses.has(400) && statuses.has(404));
    const { port } = new URL(server.base);
    using proxy = await Deno.connect({
      hostname: "127.0.0.1",
      port: Number(port),
    });
    const asked =
      "GET http://192.0.2.1/health HTTP/1.1\r\nhost: 192.0.2.1\r\nconnection: close\r\n\r\n";
    await proxy.write(new TextEncoder().encode(asked));
    assertMatch(
      await new Response(proxy.readable).text(),
      /^HTTP\/1\.1 200 [^]*scripted\/model-1/,
    );
    server.process.kill("SIGTERM");
    assertEquals(await server.ended, { code: 0, errors: "" });
  },
});
