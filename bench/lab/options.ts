/** The command line of `deno task lab`. @module */
import { parseArgs } from "node:util";
import { KV_BITS, type KvBits } from "../../lib/cache/cache_format.ts";
import { ENGINE_CHOICES, type EngineChoice } from "../../lib/engine/choose.ts";
import { member, whole, wholes } from "../../lib/program/arguments.ts";
import { STREAMED } from "./policies.ts";

/** What can be asked for. */
export const PARTS = [...STREAMED, "window-recompute", "recall"] as const;

/** A part's name. */
export type PartName = typeof PARTS[number];

/** What was asked for. */
export interface LabOptions {
  readonly help: boolean;
  /** Absent: what `EVERSTREAM_ENGINE` says. */
  readonly engine?: EngineChoice;
  readonly only: ReadonlySet<PartName>;
  /** A file of plain text, and the byte it is read from. */
  readonly text: string;
  readonly skip: number;
  readonly tokens: number;
  readonly sinks: readonly number[];
  readonly windows: readonly number[];
  readonly bits: readonly KvBits[];
  /** Lazy layers of `simplayer`; absent: half of the model's. */
  readonly lazy?: readonly number[];
  /** Most tokens that `full` holds. */
  readonly full: number;
  /** Every which position `window-recompute` is measured at. */
  readonly every: number;
  /** How many facts `recall` plants, and the window that they leave. */
  readonly facts: number;
  readonly recallWindow: number;
  /** Directory of what is written. */
  readonly out: string;
  /** A picture of the perplexities. */
  readonly svg?: string;
}

/** What `--help` prints. */
export const USAGE = `Usage: deno task lab policies --text FILE [OPTIONS]
       deno task lab render [--out DIR] [--svg FILE]
       deno task lab curve --help

"policies" streams a text through each cache policy on the model that EVERSTREAM_MODEL names, and
writes DIR/policies.json and DIR/policies.html, which needs no other file. "render" writes the HTML
and the picture again from the JSON.

  --text FILE        plain text
  --skip BYTES       where in it to begin (default: 0)
  --tokens N         how many of its tokens (default: 8192)
  --only LIST        what to measure, of ${PARTS.join(",")} (default: all)
  --sinks LIST       S of sink-window (default: 1,2,4,8)
  --windows LIST     W of all but full (default: 256,512,1020)
  --bits LIST        bits of an element of a row, of sink-window and simplayer, of ${
  KV_BITS.join(",")
}
                     (default: 32)
  --lazy LIST        lazy layers of simplayer (default: half of the model's)
  --full N           most tokens that full holds; beyond, there is none (default: 8192, or what
                     EVERSTREAM_MEMORY has room for)
  --every N          measure window-recompute at each N-th position (default: 64)
  --facts N          facts that recall plants (default: 16)
  --recall-window N  the window that they leave (default: 256)
  --engine E         ${
  ENGINE_CHOICES.join(", ")
} (default: EVERSTREAM_ENGINE, or auto)
  --out DIR          where the results go (default: bench/out/lab)
  --svg FILE         also write the perplexities as a picture
  --help             print this
`;

/** What the command line says to do. */
export interface LabCommand extends LabOptions {
  readonly command: "policies" | "render";
}

/**
 * Reads the command line.
 *
 * @throws {TypeError} if an option is unknown or lacks its value.
 * @throws {RangeError} if a value is none that the option can have, or one is missing.
 */
export function parseLabOptions(args: readonly string[]): LabCommand {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: "boolean", default: false },
      engine: { type: "string" },
      only: { type: "string", default: PARTS.join(",") },
      text: { type: "string" },
      skip: { type: "string", default: "0" },
      tokens: { type: "string", default: "8192" },
      sinks: { type: "string", default: "1,2,4,8" },
      windows: { type: "string", default: "256,512,1020" },
      bits: { type: "string", default: "32" },
      lazy: { type: "string" },
      full: { type: "string", default: "8192" },
      every: { type: "string", default: "64" },
      facts: { type: "string", default: "16" },
      "recall-window": { type: "string", default: "256" },
      out: { type: "string", default: "bench/out/lab" },
      svg: { type: "string" },
    },
  });
  const { help, engine, text, svg, lazy } = values;
  const command = commandOf(positionals, help);
  if (command === "policies" && text === undefined && !help) {
    throw new RangeError("Cannot measure without a text: give --text FILE");
  }
  return {
    help,
    command,
    text: text ?? "",
    only: new Set(
      values.only.split(",").map((name) => member("--only", name, PARTS)),
    ),
    skip: whole("--skip", values.skip, 0),
    tokens: whole("--tokens", values.tokens, 1),
    sinks: wholes("--sinks", values.sinks, 1),
    windows: wholes("--windows", values.windows, 16),
    bits: kvBits("--bits", values.bits),
    full: whole("--full", values.full, 16),
    every: whole("--every", values.every, 1),
    facts: whole("--facts", values.facts, 1),
    recallWindow: whole("--recall-window", values["recall-window"], 128),
    out: values.out,
    ...(engine === undefined
      ? {}
      : { engine: member("--engine", engine, ENGINE_CHOICES) }),
    ...(svg === undefined ? {} : { svg }),
    ...(lazy === undefined ? {} : { lazy: wholes("--lazy", lazy, 1) }),
  };
}

/**
 * Numbers of bits with commas between them, each once, the most first.
 *
 * @throws {RangeError} if there is no such format.
 */
export function kvBits(option: string, list: string): KvBits[] {
  const known = KV_BITS.map(String);
  const asked = list.split(",").map((name) => member(option, name, known));
  return KV_BITS.filter((bits) => asked.includes(String(bits)));
}

function commandOf(
  positionals: readonly string[],
  help: boolean,
): LabCommand["command"] {
  const [name = "", ...rest] = positionals;
  if (rest.length > 0) {
    throw new RangeError(`Cannot use ${JSON.stringify(rest[0])}`);
  }
  if (help && name === "") return "policies";
  return member("the command", name, ["policies", "render"]);
}
