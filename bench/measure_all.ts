/** Measures what was asked for, one thing after the other, and prints each as it is done. @module */
import { fileURLToPath } from "node:url";
import { SinkWindow } from "../lib/cache/sink_window.ts";
import type { Config } from "../lib/config.ts";
import { type BenchModel, openBenchModel, SINKS } from "./bench_model.ts";
import { describeMachine } from "./machine.ts";
import { measureBits } from "./measurements/bits.ts";
import { measureCached } from "./measurements/cached.ts";
import { measureKlOf } from "./measurements/kl.ts";
import { measureMixed } from "./measurements/mixed.ts";
import {
  installStreamsPeer,
  measurePeerStreams,
} from "./measurements/peer_streams.ts";
import { installPeers, measurePeers } from "./measurements/peers.ts";
import { measureRecompute } from "./measurements/recompute.ts";
import { measureDecode, measurePrefill } from "./measurements/speed.ts";
import { measureStream } from "./measurements/stream.ts";
import { measureStreams } from "./measurements/streams.ts";
import { type BenchOptions, MEASUREMENTS } from "./options.ts";
import {
  type BenchReport,
  renderMachine,
  renderResult,
  type ResultOf,
  type Results,
} from "./report.ts";
import { FULL, QUICK, type Sizes } from "./sizes.ts";
import { readTextTokens } from "./text.ts";

const PEERS_DIRECTORY = fileURLToPath(new URL(".peers", import.meta.url));
/** The server's own default. */
const SERVER_POLICY = new SinkWindow(SINKS, 1020);
const KL_DIRECTORY = fileURLToPath(new URL("out/kl", import.meta.url));

/** What a measurement is made from. */
interface Bench {
  /** Takes a result as text, as soon as it is there. */
  readonly print: (text: string) => void;
  readonly model: BenchModel;
  readonly options: BenchOptions;
  readonly sizes: Sizes;
  readonly notes: string[];
}

type Measure = {
  [Name in keyof ResultOf]: (bench: Bench) => Promise<ResultOf[Name]>;
};

const MEASURE: Measure = {
  prefill: ({ model, sizes }) =>
    each(
      sizes.held,
      (held) => measurePrefill(model, { held, rounds: sizes.prefillRounds }),
    ),
  decode: ({ model, sizes }) =>
    each(sizes.held, (held) => measureDecode(model, { held, ...sizes.decode })),
  cached: ({ model, sizes }) => measureCached(model, sizes.cached),
  recompute: ({ model, sizes: { recompute: { held, tokens, rounds } } }) =>
    each(held, (held) => measureRecompute(model, { held, tokens, rounds })),
  async stream({ model, options, sizes }) {
    const { tokens, text: path, skip } = options;
    const text = path &&
      await readTextTokens(model.tokenizer, path, { skip, count: tokens });
    return await measureStream(model, {
      tokens,
      policy: SERVER_POLICY,
      ...sizes.stream,
      text: text || undefined,
    });
  },
  streams: async ({ model, options, sizes: { held, streams } }) => {
    const { counts, ...rest } = streams;
    const measure = (held: number) =>
      measureStreams(model, {
        ...rest,
        held,
        streams: options.streams ?? counts,
      });
    return (await each(held, measure)).flat();
  },
  bits: async ({ model, options, sizes: { held, bits } }) => {
    const { counts, ...rest } = bits;
    const measure = async (held: number) =>
      (await each(
        options.streams ?? counts,
        (streams) => measureBits(model, { ...rest, held, streams }),
      )).flat();
    return (await each(held, measure)).flat();
  },
  mixed: ({ model, sizes }) =>
    measureMixed(model, { policy: SERVER_POLICY, ...sizes.mixed }),
  kl: ({ model, options: { text, skip }, sizes }) =>
    measureKlOf(model, {
      text: text!, // parseBenchOptions sees to it
      skip,
      tokens: sizes.klTokens,
      peers: PEERS_DIRECTORY,
      output: KL_DIRECTORY,
    }),
  async peers({ model, sizes, notes }) {
    const onProblem = (problem: string) => notes.push(`peers: ${problem}`);
    const peers = await installPeers(PEERS_DIRECTORY, {
      model: model.path,
      onProblem,
    });
    return await measurePeers(model, peers, {
      sizes: sizes.held,
      turns: sizes.peerTurns,
      decoded: 48, // as the peers
    });
  },
  async peerStreams({ model, options, sizes }) {
    const peer = await installStreamsPeer(PEERS_DIRECTORY, model.path);
    return await measurePeerStreams(model, peer, {
      sizes: sizes.held,
      streams: options.streams ?? sizes.streams.counts,
      turns: sizes.peerTurns,
      decoded: 48, // as the peer
    });
  },
};

async function each<T>(
  sizes: readonly number[],
  measure: (size: number) => Promise<T>,
) {
  const results: T[] = [];
  for (const size of sizes) results.push(await measure(size));
  return results;
}

/** Measures one thing; a failure is a note, so that hours of other measurements are not lost. */
async function measureOne<Name extends keyof ResultOf>(
  bench: Bench,
  name: Name,
  results: Results,
) {
  console.error(`… ${name}`);
  try {
    const result: ResultOf[Name] = await MEASURE[name](bench);
    results[name] = result;
    bench.print(`\n${renderResult(name, result)}`);
  } catch (error) {
    bench.notes.push(`${name}: ${(error as Error).message}`);
  }
}

/**
 * Measures what the options say.
 *
 * @throws {Error} if the model cannot be opened; a measurement that fails is a note instead.
 */
export async function measureAll(
  config: Config,
  options: BenchOptions,
  print: (text: string) => void = console.log,
): Promise<BenchReport> {
  const model = await openBenchModel(config);
  const machine = describeMachine(model);
  const { quick } = options;
  const bench: Bench = {
    print,
    model,
    options,
    sizes: quick ? QUICK : FULL,
    notes: [],
  };
  print(renderMachine(machine));
  if (quick) {
    print("Quick: sizes are too small for the figures to mean anything.");
  }
  const results: Results = {};
  try {
    for (const name of order(options)) await measureOne(bench, name, results);
  } finally {
    await model.release();
  }
  return { schema: 1, machine, quick, results, notes: bench.notes };
}

/** What is measured, and then what of it the peers do too. */
function order({ only, peers }: BenchOptions): (keyof ResultOf)[] {
  const names: (keyof ResultOf)[] = MEASUREMENTS.filter((name) =>
    only.has(name)
  );
  if (peers && (only.has("prefill") || only.has("decode"))) names.push("peers");
  if (peers && only.has("streams")) names.push("peerStreams");
  return names;
}
