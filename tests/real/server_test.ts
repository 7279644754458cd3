/** The command that users type, with the real model, over HTTP. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, streamText } from "ai";
import OpenAI from "openai";
import { freePort, isHealthy } from "../../bench/server.ts";
import { pythonEnvironment } from "../python/environment.ts";
import { runPythonChecks } from "../python/openai_client.ts";
import { realModelPath } from "../real_model.ts";

const ROOT = new URL("../../", import.meta.url);
const CAPITAL = {
  model: "default",
  temperature: 0,
  messages: [
    { role: "system", content: "Answer in English." },
    { role: "user", content: "What is the capital of France?" },
  ],
} satisfies OpenAI.ChatCompletionCreateParamsNonStreaming;

/** Runs `deno task start` with these variables. */
function start(variables: Record<string, string>): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "start"],
    cwd: ROOT,
    env: { NO_COLOR: "1", EVERSTREAM_ENGINE: "native", ...variables },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>)
    .text();
}

/** Serves on a free port until `use` is done; gives what the server printed. */
async function withServer(
  variables: Record<string, string>,
  use: (url: string) => Promise<void>,
): Promise<string> {
  await realModelPath();
  const port = String(freePort());
  const server = start({ PORT: port, ...variables });
  const printed = Promise.all([textOf(server.stdout), textOf(server.stderr)]);
  const url = `http://127.0.0.1:${port}`;
  try {
    for (let i = 0; i < 600 && !await isHealthy(url); i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await use(url);
  } finally {
    server.kill();
  }
  assertEquals((await server.status).code, 0);
  return (await printed).join("\n");
}

/** A start that must fail; gives its status and what it printed. */
async function failedStart(
  variables: Record<string, string>,
): Promise<{ code: number; printed: string }> {
  const process = start(variables);
  const printed = await Promise.all([
    textOf(process.stdout),
    textOf(process.stderr),
  ]);
  return { code: (await process.status).code, printed: printed.join("\n") };
}

Deno.test("the openai clients and the AI SDK stream an answer, and the next turn costs its new tokens", async () => {
  const printed = await withServer(
    { EVERSTREAM_MEMORY: "95MB" },
    async (url) => {
      const client = new OpenAI({
        baseURL: `${url}/v1`,
        apiKey: "none",
        maxRetries: 0,
      });
      const stream = await client.chat.completions.create({
        ...CAPITAL,
        stream: true,
      });
      const parts: string[] = [];
      for await (const chunk of stream) {
        parts.push(chunk.choices[0]?.delta.content ?? "");
      }
      assertEquals(parts.join(""), "The capital of France is Paris.");
      assert(parts.length > 5, "the answer should come in parts");

      const answer = await client.chat.completions.create({
        ...CAPITAL,
        messages: [
          ...CAPITAL.messages,
          { role: "assistant", content: parts.join("") },
          { role: "user", content: "What language is spoken there?" },
        ],
      });
      assertStringIncludes(answer.choices[0]!.message.content!, "French");
      assert(answer.usage!.prompt_tokens_details!.cached_tokens! >= 30);

      await answersAiSdk(url);
      await answersPython(url);
      await refuses(client);
      await survivesAbort(client);
      const again = await client.chat.completions.create(CAPITAL);
      assertEquals(
        again.choices[0]!.message.content,
        "The capital of France is Paris.",
      );
    },
  );
  assertMatch(printed, /Model smollm2-135m-instruct on native/);
});

/** The AI SDK asks the same, and for JSON by a schema. */
async function answersAiSdk(url: string): Promise<void> {
  const provider = createOpenAICompatible({
    name: "everstream",
    baseURL: `${url}/v1`,
    supportsStructuredOutputs: true,
  });
  const model = provider("default");
  const [instructions, prompt] = CAPITAL.messages.map(({ content }) => content);
  const stream = streamText({
    model,
    instructions: instructions!,
    prompt: prompt!,
    temperature: 0,
    stopSequences: ["Paris"],
  });
  const parts = await Array.fromAsync(stream.textStream);
  assertEquals(parts.join(""), "The capital of France is ");
  assert(parts.length > 4, "the answer should come in parts");

  const schema = jsonSchema<{ capital: string }>({
    type: "object",
    properties: { capital: { type: "string", enum: ["Rome", "Paris"] } },
    required: ["capital"],
    additionalProperties: false,
  });
  const { output } = await generateText({
    model,
    prompt: prompt!,
    temperature: 0,
    output: Output.object({ schema }),
  });
  assertEquals(output, { capital: "Paris" });
}

/** PyPI's openai, of whose checks those go here that need no scripted answer. */
async function answersPython(url: string): Promise<void> {
  const python = await pythonEnvironment();
  if (python === null) return;
  const names = ["check_bad_request", "real_conversation", "real_parsed"];
  for (const { error } of await runPythonChecks(python, { url, names })) {
    assert(error === null, error ?? "");
  }
}

async function refuses(client: OpenAI): Promise<void> {
  const bad: [object, number][] = [
    [{ model: "gpt-5" }, 404],
    [{ messages: [] }, 400],
    [{ messages: [{ role: "wizard", content: "x" }] }, 400],
    [{ temperature: "hot" }, 400],
    [{ max_tokens: -1 }, 400],
    [{ logit_bias: { 99999999: 1 } }, 400],
  ];
  for (const [change, status] of bad) {
    try {
      await client.chat.completions.create(
        { ...CAPITAL, ...change } as typeof CAPITAL,
      );
      throw new Error(`${JSON.stringify(change)} was accepted`);
    } catch (error) {
      assertEquals(
        (error as { status?: number }).status,
        status,
        JSON.stringify(change),
      );
    }
  }
}

/** Both slots are taken by answers that would never end; their clients leave. */
async function survivesAbort(client: OpenAI): Promise<void> {
  const endless = async () => {
    const stream = await client.chat.completions.create({
      ...CAPITAL,
      messages: [{ role: "user", content: "Write a very long story." }],
      logit_bias: { 0: -100, 2: -100 }, // no end tokens
      stream: true,
    });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 5) break; // leaves
  };
  await Promise.all([endless(), endless(), endless()]);
}

Deno.test("a prompt of many windows is answered, and waiting requests come in turn", async () => {
  await withServer(
    { EVERSTREAM_MEMORY: "6MB", EVERSTREAM_WINDOW: "124" },
    async (url) => {
      const client = new OpenAI({
        baseURL: `${url}/v1`,
        apiKey: "none",
        maxRetries: 0,
      });
      const ask = (content: string) =>
        client.chat.completions.create({
          ...CAPITAL,
          messages: [{ role: "user", content }],
          max_tokens: 8,
        });
      const answers = await Promise.all([
        ask("All work and no play makes Jack a dull boy. ".repeat(300)),
        ask("Say yes."),
        ask("Say no."),
      ]);
      const first = answers[0]!.usage as unknown as {
        prompt_tokens: number;
        everstream: { held: number; evicted: number };
      };
      assert(first.prompt_tokens > 3000, `${first.prompt_tokens} tokens`);
      assertEquals(first.everstream.held, 128);
      assert(first.everstream.evicted > 2800);
      for (const answer of answers) assertEquals(answer.choices.length, 1);
    },
  );
});

Deno.test("start says what is wrong and exits with 1", async () => {
  const directory = await Deno.makeTempDir();
  const file = `${directory}/letter.gguf`;
  await Deno.writeTextFile(file, "Dear model,\n".repeat(100));
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const port = String(listener.addr.port);
    const cases: [Record<string, string>, string][] = [
      [{ PORT: port, EVERSTREAM_MODEL: file }, "port is in use"],
      [{ PORT: "0", EVERSTREAM_MODEL: file }, "letter.gguf"],
      [
        { PORT: "0", EVERSTREAM_MODEL: `${directory}/absent.gguf` },
        "no file at",
      ],
      [{ PORT: "eighty" }, "PORT="],
      [{ EVERSTREAM_WINDOW: "0" }, "EVERSTREAM_WINDOW="],
      [{ EVERSTREAM_ENGINE: "abacus" }, "EVERSTREAM_ENGINE="],
    ];
    for (const [variables, message] of cases) {
      const { code, printed } = await failedStart(variables);
      assertEquals(code, 1, printed);
      assertStringIncludes(printed, message);
      assert(!printed.includes("    at "), `a stack trace: ${printed}`);
    }
  } finally {
    listener.close();
    await Deno.remove(directory, { recursive: true });
  }
});
