/**
 * A conversation with node-llama-cpp, as its users hold one: a `LlamaChatSession`, which has the history and, when
 * that does not fit, forgets the oldest of it by its default strategy.
 *
 *     node turns_node_llama_cpp.mjs DIRECTORY MODEL.gguf CONTEXT ANSWER
 *
 * DIRECTORY has node-llama-cpp in its node_modules (see install.ts). Says its name, then for each line {"text": …} of
 * stdin prints the turn as one JSON line (see turns/client.ts). CPU only, 2 threads, greedy.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const THREADS = 2, BATCH = 512;

async function main([directory, modelPath, contextSize, maxTokens]) {
  const home = resolve(directory, "node_modules", "node-llama-cpp");
  const { version } = JSON.parse(
    await readFile(join(home, "package.json"), "utf8"),
  );
  const { getLlama, LlamaChatSession } = await import(
    pathToFileURL(join(home, "dist", "index.js")).href
  );
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
  });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: Number(contextSize),
    threads: THREADS,
    batchSize: BATCH,
  });
  const sequence = context.getSequence();
  const session = new LlamaChatSession({
    contextSequence: sequence,
    systemPrompt: "",
  });
  const print = (line) => console.log(JSON.stringify(line));
  print({ peer: `node-llama-cpp ${version}, LlamaChatSession` });
  for await (const line of createInterface({ input: process.stdin })) {
    const messages = session.getChatHistory().length;
    const before = sequence.tokenMeter.usedInputTokens;
    const start = performance.now();
    let firstMs = null;
    const answer = await session.prompt(JSON.parse(line).text, {
      temperature: 0,
      maxTokens: Number(maxTokens),
      onTextChunk: () => firstMs ??= performance.now() - start,
    });
    const ms = performance.now() - start;
    print({
      firstMs: firstMs ?? ms,
      ms,
      answer,
      cacheBytes: null,
      computed: sequence.tokenMeter.usedInputTokens - before,
      refusal: null,
      forgotten: Math.max(0, messages + 2 - session.getChatHistory().length),
    });
  }
}

if (process.argv.length !== 6) {
  console.error(
    "usage: node turns_node_llama_cpp.mjs DIRECTORY MODEL.gguf CONTEXT ANSWER",
  );
  process.exit(1);
}
await main(process.argv.slice(2));
process.exit(0); // Its worker threads would keep the process alive.
