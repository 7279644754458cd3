/**
 * A conversation with node-llama-cpp, as its users hold one: a `LlamaChatSession`, which has the history and, when
 * that does not fit, forgets the oldest of it by its default strategy.
 *
 *     node turns_node_llama_cpp.mjs DIRECTORY MODEL.gguf CONTEXT ANSWER
 *
 * DIRECTORY has node-llama-cpp in its node_modules (see install.ts). Says its name, then for each line {"text": …} of
 * stdin prints the turn as one JSON line (see turns/client.ts). CPU only, 2 threads, greedy.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { openModel } from "./open_node_llama_cpp.mjs";

const THREADS = 2, BATCH = 512;

async function main([directory, modelPath, contextSize, maxTokens]) {
  const { version, model, LlamaChatSession } = await openModel(
    directory,
    modelPath,
  );
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
      forgotten: 0, // by its client: what the session leaves out is seen in what it computes again
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
