/**
 * How fast node-llama-cpp is on a model.
 *
 *     node peer_node_llama_cpp.mjs DIRECTORY MODEL.gguf [--streams LIST] HELD...
 *
 * DIRECTORY has node-llama-cpp in its node_modules (see install.ts). For each HELD prints one JSON line: tokens per
 * second of prefilling HELD tokens in batches of 512, and of decoding 48 tokens greedily after them. With numbers of
 * streams, for each HELD and each number instead: tokens per second of that many sequences together, each decoding 48
 * tokens greedily after HELD ones. CPU only, 2 threads; the medians of 3 rounds, after one that does not count.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { openModel } from "./open_node_llama_cpp.mjs";

const THREADS = 2, BATCH = 512, DECODED = 48, ROUNDS = 3;

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Decodes the next tokens greedily, from the last prompt token on. */
async function decode(sequence, lastToken) {
  const tokens = sequence.evaluate([lastToken], {
    temperature: 0,
    yieldEogToken: true,
  });
  let decoded = 0;
  for await (const _ of tokens) if (++decoded === DECODED) return;
  throw new Error(`Cannot decode ${DECODED} tokens: it ended after ${decoded}`);
}

/** Seconds of prefilling the tokens and of decoding the next ones. */
async function roundOf(sequence, tokens) {
  await sequence.clearHistory();
  const start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, -1));
  // The last prompt token is evaluated with the first answer token: it stands for the 48th decoded one.
  const prefilled = performance.now();
  await decode(sequence, tokens.at(-1));
  return {
    prefill: (prefilled - start) / 1000,
    decode: (performance.now() - prefilled) / 1000,
  };
}

/** Tokens per second of one sequence, prefilling and decoding. */
async function measureOne(model, tokens) {
  const held = tokens.length;
  const context = await model.createContext({
    contextSize: held + DECODED,
    threads: THREADS,
    batchSize: BATCH,
  });
  const sequence = context.getSequence();
  await roundOf(sequence, tokens.slice(0, 64));
  const times = [];
  for (let i = 0; i < ROUNDS; i++) times.push(await roundOf(sequence, tokens));
  await context.dispose();
  return {
    prefillTokensPerSecond: (held - 1) / median(times.map((t) => t.prefill)),
    decodeTokensPerSecond: DECODED / median(times.map((t) => t.decode)),
  };
}

/** Tokens per second of so many sequences together, each decoding after its own tokens. */
async function measureStreams(model, streams, tokensOf) {
  const prompts = Array.from({ length: streams }, (_, i) => tokensOf(i));
  const held = prompts[0].length;
  const context = await model.createContext({
    sequences: streams,
    contextSize: held + DECODED, // of each
    threads: THREADS,
    batchSize: BATCH,
  });
  const sequences = prompts.map(() => context.getSequence());
  await Promise.all(
    sequences.map((sequence, i) =>
      sequence.evaluateWithoutGeneratingNewTokens(prompts[i].slice(0, -1))
    ),
  );
  const seconds = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now();
    await Promise.all(
      sequences.map((sequence, i) => decode(sequence, prompts[i].at(-1))),
    );
    if (round > 0) seconds.push((performance.now() - start) / 1000);
    for (const sequence of sequences) {
      await sequence.eraseContextTokenRanges([
        { start: held - 1, end: sequence.nextTokenIndex },
      ]);
    }
  }
  await context.dispose();
  return {
    streams,
    tokensPerSecond: streams * DECODED / median(seconds),
  };
}

async function main([directory, modelPath, ...sizes], streams) {
  const { version, model } = await openModel(directory, modelPath);
  const sentence = model.tokenize(
    "The quick brown fox jumps over the lazy dog. ",
  );
  const print = (held, result) =>
    console.log(JSON.stringify({
      peer: `node-llama-cpp ${version}`,
      held,
      ...result,
      threads: THREADS,
      rounds: ROUNDS,
    }));
  for (const held of sizes.map(Number)) {
    const tokensOf = (from) =>
      Array.from(
        { length: held },
        (_, i) => sentence[(from + i) % sentence.length],
      );
    if (!streams) print(held, await measureOne(model, tokensOf(0)));
    for (const count of streams ?? []) {
      print(held, await measureStreams(model, count, tokensOf));
    }
  }
}

const { values, positionals } = parseArgs({
  options: { streams: { type: "string" } },
  allowPositionals: true,
});
if (positionals.length < 3) {
  console.error(
    "usage: node peer_node_llama_cpp.mjs DIRECTORY MODEL.gguf [--streams LIST] HELD...",
  );
  process.exit(1);
}
await main(positionals, values.streams?.split(",").map(Number));
process.exit(0); // Its worker threads would keep the process alive.
