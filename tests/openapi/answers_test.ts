/** What the app answers is what its document says. */
import { assert, assertEquals } from "@std/assert";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import { type AppParts, createApp } from "../../lib/app.ts";
import { UnavailableError } from "../../lib/chat/chat_model.ts";
import { openStore } from "../../lib/store/store.ts";
import {
  openService,
  ScriptedDecoder,
  TOKENIZER,
} from "../chat/scripted_decoder.ts";
import { TOOLS_TEMPLATE } from "../chat/tools_template.ts";
import { CACHES, hello, post } from "../routes/harness.ts";
import { type Script, ScriptedModel } from "../scripted_model.ts";
import { closed, type Described, Description, type Json } from "./described.ts";

Deno.test.sanitizer({ ops: true, resources: true });

interface Asking {
  /** Asks, checks what comes back, and gives it. */
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers?: HeadersInit,
  ): Promise<Json>;
  description: Description;
  /** Operations that were answered with 200. */
  answered: Set<Described>;
}

async function asking(
  parts: AppParts,
  use: (of: Asking) => Promise<void>,
): Promise<void> {
  const store = await openStore(null, { snapshotBytes: 0 });
  const app = createApp({
    store,
    caches: () => CACHES,
    report: () => {},
    ...parts,
  });
  const open = await Description.of(createApp({ ...parts, store }));
  const description = new Description(closed(open.document));
  const answered = new Set<Described>();
  async function ask(
    method: string,
    path: string,
    body?: unknown,
    headers: HeadersInit = {},
  ): Promise<Json> {
    const response = await app.request(
      path,
      body === undefined
        ? { method, headers }
        : { ...post(body, { headers }), method },
    );
    const described = description.find(method, path);
    await description.check(described, response.clone());
    if (response.status === 200) answered.add(described);
    const text = await response.text();
    return response.headers.get("content-type") === "application/json"
      ? JSON.parse(text)
      : text;
  }
  try {
    await use({ ask, description, answered });
  } finally {
    await store.close();
  }
}

function scripted(script: Script = {}): AppParts {
  const model = new ScriptedModel(script);
  return { model: () => model };
}

Deno.test("answers are what the document says, of every operation", async () => {
  const decoder = new ScriptedDecoder({ slots: 4 });
  decoder.answer = TOKENIZER.encode("hello");
  const model = openService(decoder, { sinks: 4, window: 1020 });
  await asking(
    { model: () => model },
    async ({ ask, description, answered }) => {
      // The examples of the document work.
      for (const { method, path, operation } of description.operations) {
        const example = operation.requestBody?.content["application/json"]
          .example;
        if (example && !path.includes("{")) {
          const answer = await ask(method.toUpperCase(), path, example);
          assert(
            !("error" in answer) || answer.error === null,
            JSON.stringify(answer),
          );
        }
      }
      for (
        const path of ["/", "/health", "/metrics", "/openapi.json", "/docs"]
      ) {
        await ask("GET", path);
      }
      await ask("GET", "/v1/models");
      await ask("GET", "/v1/models/default");
      await ask("GET", "/v1/models/default/plan?tokens=9000");

      const { id: conversation } = await ask("POST", "/v1/conversations");
      const at = `/v1/conversations/${conversation}`;
      await ask("POST", at, { metadata: null });
      await ask("GET", at);
      const { id } = await ask("POST", "/v1/responses", {
        input: "hello",
        conversation,
      });
      const { data: [item] } = await ask(
        "GET",
        `${at}/items?limit=1&order=asc`,
      );
      await ask("GET", `${at}/items/${item.id}`);
      await ask("POST", `${at}/items`, {
        items: [{ role: "assistant", content: "hello" }],
      });
      await ask("DELETE", `${at}/items/${item.id}`);
      await ask("GET", `/v1/responses/${id}`);
      await ask("GET", `/v1/responses/${id}?stream=true&starting_after=2`);
      await ask("GET", `/v1/responses/${id}/input_items`);
      await ask("POST", `/v1/responses/${id}/cancel`);
      await ask("DELETE", `/v1/responses/${id}`);
      await ask("DELETE", at);

      const stream = true;
      const { id: first } = await ask("POST", "/v1/responses", {
        input: "hello",
      });
      const next = { input: "hello", previous_response_id: first, stream };
      await ask("POST", "/v1/responses", { ...next, max_output_tokens: 1 });
      await ask("POST", "/v1/responses", { ...next, metadata: { a: "b" } });
      decoder.failAfter = 0;
      await ask("POST", "/v1/responses", { ...next, background: true });
      assertEquals(
        description.operations.filter((one) => !answered.has(one)).map((
          { path },
        ) => path),
        [],
      );
    },
  );
});

Deno.test("responses with calls and of formats are what the document says", async () => {
  const decoder = new ScriptedDecoder({ slots: 4 });
  const limits = { sinks: 4, window: 1020, maxTokens: 400 };
  const model = openService(decoder, { template: TOOLS_TEMPLATE, ...limits });
  await asking({ model: () => model }, async ({ ask }) => {
    const tools = [{
      type: "function",
      name: "weather",
      parameters: { type: "object" },
    }];
    decoder.answer = TOKENIZER.encode(
      '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>',
    );
    for (const stream of [true, false]) {
      await ask("POST", "/v1/responses", { input: "hello", tools, stream });
    }
    const { id, output } = await ask("POST", "/v1/responses", {
      input: "hello",
      tools,
      tool_choice: { type: "function", name: "weather" },
    });
    assertEquals(output[0].type, "function_call");
    decoder.answer = TOKENIZER.encode("true");
    const { call_id } = output[0];
    const input = [{ type: "function_call_output", call_id, output: "sunny" }];
    const format = { type: "json_schema", name: "sunny", schema: true };
    const next = await ask("POST", "/v1/responses", {
      input,
      previous_response_id: id,
      text: { format },
    });
    await ask("GET", `/v1/responses/${next.id}/input_items`);
  });
});

Deno.test("answers of the endpoints that generate are what the document says", async () => {
  const tools = [{ type: "function", function: { name: "weather" } }];
  const script = {
    pieces: ["Hello", '<tool_call>{"name": "weather"}</tool_call>'],
  };
  await asking(scripted(script), async ({ ask }) => {
    for (const stream of [false, true]) {
      const ways = [
        {},
        { n: 2, logprobs: true, top_logprobs: 2 },
        { tools },
        ...(stream ? [{ stream_options: { include_usage: true } }] : []),
      ];
      for (const way of ways) {
        for (const headers of [{}, { "x-everstream-cache": "1" }]) {
          await ask(
            "POST",
            "/v1/chat/completions",
            hello({ stream, ...way }),
            headers,
          );
        }
      }
      for (const way of [{ logprobs: 2 }, { echo: true, n: 2 }]) {
        await ask("POST", "/v1/completions", { prompt: "Hi", stream, ...way });
      }
    }
  });
});

Deno.test("errors are what the document says", async () => {
  const chat = (of: Asking, body: unknown = hello(), headers?: HeadersInit) =>
    of.ask("POST", "/v1/chat/completions", body, headers);
  await asking(scripted(), async (of) => {
    await chat(of, {});
    await chat(of, hello(), { "content-type": "text/plain" });
    await chat(of, hello({ model: "another" }));
    await chat(of, hello({ user: "x".repeat(9 * 2 ** 20) }));
    await chat(of, hello(), { "x-large": "x".repeat(33_000) });
    await of.ask("GET", "/v1/responses/resp_none");
    await of.ask("GET", "/v1/responses/resp_none?colour=red");
    await of.ask("GET", "/v1/models/default/plan?tokens=0");
    const key = { "idempotency-key": "x".repeat(256) };
    await of.ask("POST", "/v1/responses", { input: "x" }, key);
  });
  for (const code of ["queue_full", "answer_timeout"] as const) {
    const refusal = new UnavailableError(code, "Not now. Try later.", 2.5);
    await asking(scripted({ refusal }), async (of) => void await chat(of));
  }
  for (const stream of [false, true]) {
    await asking(
      scripted({ failAt: 1 }),
      async (of) => void await chat(of, hello({ stream })),
    );
  }
  for (const loadError of [null, "no such file"]) {
    const parts = { model: () => null, loadError: () => loadError };
    await asking(parts, async (of) => {
      await of.ask("GET", "/health");
      await of.ask("GET", "/metrics");
      await chat(of);
    });
  }
  const rates = { requests: 1, tokens: 0, streams: 0 };
  await asking({ ...scripted(), rates }, async (of) => {
    for (let i = 0; i < 2; i++) await chat(of);
  });
  const keys = new KeyRing([digestOf("es-ada-0123456789")]);
  await asking({ ...scripted(), keys }, async (of) => void await chat(of));
});
