/** PyPI's openai over HTTP against a served app: what it checks is in `openai_client.py`. */
import { assert, assertEquals } from "@std/assert";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import { type Handler, storedApp } from "../routes/stored_app.ts";
import { pythonEnvironment } from "./environment.ts";
import { runPythonChecks } from "./openai_client.ts";

/** The keys in the program. */
const KEYS = ["es-ada-0123456789", "es-spent-0123456789"];

const python = await pythonEnvironment();

Deno.test({
  name: "PyPI's openai chats, streams, converses, retries and knows our errors",
  ignore: python === null,
  async fn(t) {
    await using app = await storedApp({
      parts: {
        keys: new KeyRing(KEYS.map(digestOf)),
        rates: { requests: 90, tokens: 0, streams: 0 },
      },
      wrap: losesFirstAnswers,
    });
    const checks = await runPythonChecks(python!, { url: app.base });
    assertEquals(checks.length, 15);
    for (const { name, error } of checks) {
      await t.step(name, () => assert(error === null, error ?? ""));
    }
    assertEquals(app.reported, []);
  },
});

/** Does a request that asks for it, and loses the answer, unless the client has tried before. */
function losesFirstAnswers(handler: Handler): Handler {
  return async (request, info) => {
    const { headers } = request;
    const lost = headers.has("x-test-lose-answers") &&
      headers.get("x-stainless-retry-count") === "0";
    const response = await handler(request, info);
    if (!lost) return response;
    await response.text();
    return new Response("lost on the way", {
      status: 502,
      headers: { "retry-after-ms": "1" },
    });
  };
}
