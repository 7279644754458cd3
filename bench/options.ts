/** The command line of `deno task bench`. @module */
import { parseArgs } from "node:util";
import { ENGINE_CHOICES, type EngineChoice } from "../lib/engine/choose.ts";
import { member, whole, wholes } from "../lib/program/arguments.ts";

/** What can be measured, in the order in which it is. */
export const MEASUREMENTS = [
  "prefill",
  "decode",
  "cached",
  "recompute",
  "stream",
  "streams",
  "bits",
  "mixed",
  "kl",
] as const;

/** A measurement's name. */
export type MeasurementName = typeof MEASUREMENTS[number];

/** What was asked for. */
export interface BenchOptions {
  readonly help: boolean;
  /** Absent: what `EVERSTREAM_ENGINE` says. */
  readonly engine?: EngineChoice;
  readonly only: ReadonlySet<MeasurementName>;
  readonly peers: boolean;
  /** Length of the stream. */
  readonly tokens: number;
  /** Numbers of conversations side by side; absent: those of `bench/sizes.ts`. */
  readonly streams?: readonly number[];
  /** A file of plain text, and the byte it is read from. */
  readonly text?: string;
  readonly skip: number;
  /** Where the results go as JSON. */
  readonly json?: string;
  readonly quick: boolean;
}

/** What `--help` prints. */
export const USAGE = `Usage: deno task bench [OPTIONS]

Measures the model that EVERSTREAM_MODEL names, with EVERSTREAM_THREADS threads.

  --only LIST     what to measure, of ${MEASUREMENTS.join(",")}
                  (default: all, but kl only with --text and --peers; with --streams: streams)
  --engine E      ${
  ENGINE_CHOICES.join(", ")
} (default: EVERSTREAM_ENGINE, or auto)
  --peers         also run llama.cpp's Python and Node packages on the same file, in turns with
                  ours, for those of prefill, decode and streams that are measured; they are
                  installed into bench/.peers, which takes minutes the first time
  --tokens N      length of the stream (default: 20000)
  --streams LIST  numbers of conversations side by side (default: 1,2,4,8)
  --text FILE     plain text to stream and to compare logits on; without it the model writes
  --skip BYTES    where in the text to begin (default: 0)
  --json FILE     write the results there, as bench/report.ts describes them
  --quick         small sizes and few rounds: to see that all works, not to measure
  --help          print this
`;

/**
 * Reads the command line.
 *
 * @throws {TypeError} if an option is unknown or lacks its value.
 * @throws {RangeError} if a value is none that the option can have, or options exclude each other.
 */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      engine: { type: "string" },
      only: { type: "string" },
      peers: { type: "boolean", default: false },
      tokens: { type: "string", default: "20000" },
      streams: { type: "string" },
      text: { type: "string" },
      skip: { type: "string", default: "0" },
      json: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
  const { help, peers, quick, engine, streams, text, json } = values;
  const only = measurements(
    values.only ?? (streams === undefined ? undefined : "streams"),
    {
      withKl: text !== undefined && peers,
    },
  );
  if (!help && only.has("kl") && text === undefined) {
    throw new RangeError("Cannot measure kl without a text: give --text FILE");
  }
  return {
    help,
    peers,
    quick,
    only,
    tokens: whole("--tokens", values.tokens, 1),
    skip: whole("--skip", values.skip, 0),
    ...(engine === undefined
      ? {}
      : { engine: member("--engine", engine, ENGINE_CHOICES) }),
    ...(streams === undefined
      ? {}
      : { streams: wholes("--streams", streams, 1) }),
    ...(text === undefined ? {} : { text }),
    ...(json === undefined ? {} : { json }),
  };
}

function measurements(
  list: string | undefined,
  { withKl }: { withKl: boolean },
): Set<MeasurementName> {
  if (list === undefined) {
    return new Set(MEASUREMENTS.filter((name) => name !== "kl" || withKl));
  }
  return new Set(
    list.split(",").map((name) => member("--only", name, MEASUREMENTS)),
  );
}
