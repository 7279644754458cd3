/**
 * How fast node-llama-cpp is on a model.
 *
 *     node peer_node_llama_cpp.mjs DIRECTORY MODEL.gguf HELD...
 *
 * DIRECTORY has node-llama-cpp in its node_modules (see install.ts). For each HELD prints one JSON line: tokens per
 * second of prefilling HELD tokens in batches of 512, and of decoding 48 tokens greedily after them. CPU only,
 * 2 threads; the medians of 3 rounds, after one that does not count.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const THREADS = 2, BATCH = 512, DECODED = 48, ROUNDS = 3;

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Seconds of prefilling the tokens and of decoding the next ones. */
async function roundOf(sequence, tokens) {
  await sequence.clearHistory();
  const start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, -1));
  // The last prompt token is evaluated with the first answer token: it stands for the 48th decoded one.
  const prefilled = performance.now();
  let decoded = 0;
  for await (
    const _ of sequence.evaluate(tokens.slice(-1), {
      temperature: 0,
      yieldEogToken: true,
    })
  ) {
    if (++decoded === DECODED) break;
  }
  if (decoded < DECODED) {
    throw new Error(
      `Cannot decode ${DECODED} tokens: it ended after ${decoded}`,
    );
  }
  return {
    prefill: (prefilled - start) / 1000,
    decode: (performance.now() - prefilled) / 1000,
  };
}

async function main([directory, modelPath, ...sizes]) {
  const home = resolve(directory, "node_modules", "node-llama-cpp");
  const { version } = JSON.parse(
    await readFile(join(home, "package.json"), "utf8"),
  );
  const { getLlama } = await import(
    pathToFileURL(join(home, "dist", "index.js")).href
  );
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
  });
  const model = await llama.loadModel({ modelPath });
  const sentence = model.tokenize(
    "The quick brown fox jumps over the lazy dog. ",
  );
  const contextSize = Math.max(...sizes) + DECODED;
  const context = await model.createContext({
    contextSize,
    threads: THREADS,
    batchSize: BATCH,
  });
  const sequence = context.getSequence();
  for (const held of sizes.map(Number)) {
    const tokens = Array.from(
      { length: held },
      (_, i) => sentence[i % sentence.length],
    );
    await roundOf(sequence, tokens.slice(0, 64));
    const times = [];
    for (let i = 0; i < ROUNDS; i++) {
      times.push(await roundOf(sequence, tokens));
    }
    console.log(JSON.stringify({
      peer: `node-llama-cpp ${version}`,
      held,
      prefillTokensPerSecond: (held - 1) / median(times.map((t) => t.prefill)),
      decodeTokensPerSecond: DECODED / median(times.map((t) => t.decode)),
      threads: THREADS,
      rounds: ROUNDS,
    }));
  }
}

if (process.argv.length < 5) {
  console.error(
    "usage: node peer_node_llama_cpp.mjs DIRECTORY MODEL.gguf HELD...",
  );
  process.exit(1);
}
await main(process.argv.slice(2));
process.exit(0); // Its worker threads would keep the process alive.
