/** The command line of `deno task lab curve`. @module */
import { parseArgs } from "node:util";
import { KV_BITS, type KvBits } from "../../lib/cache/cache_format.ts";
import { ENGINE_CHOICES, type EngineChoice } from "../../lib/engine/choose.ts";
import { member, whole, wholes } from "../../lib/program/arguments.ts";
import { kvBits } from "./options.ts";

/** What was asked for. */
export interface CurveOptions {
  readonly help: boolean;
  /** Whether only to write the page and the picture again. */
  readonly render: boolean;
  /** Absent: what `EVERSTREAM_ENGINE` says. */
  readonly engine?: EngineChoice;
  /** A file of plain text, and the byte it is read from. */
  readonly text: string;
  readonly skip: number;
  /** Tokens that a cache holds, and how many of them are not scored. */
  readonly tokens: number;
  readonly prompt: number;
  /** Places of the text. */
  readonly places: number;
  readonly bits: readonly KvBits[];
  /** Lazy layers; absent: some shares of the model's. */
  readonly lazy?: readonly number[];
  /** Directory of what is written. */
  readonly out: string;
  readonly svg?: string;
}

/** What `--help` prints. */
export const CURVE_USAGE = `Usage: deno task lab curve --text FILE [OPTIONS]
       deno task lab curve --render [--out DIR] [--svg FILE]

Measures what bytes buy: perplexity with rows of fewer bits, with lazy layers (simplayer), and with
both, in caches of N tokens. Reads a prompt and scores the tokens that follow, in the same chunks for
all. Writes DIR/curve.json and DIR/curve.html, which needs no other file; --render writes the page and
the picture again from the JSON.

  --text FILE        plain text
  --skip BYTES       where in it to begin (default: 0)
  --tokens N         tokens of a cache, all of them read (default: 4096)
  --prompt N         how many of them are a prompt, after which layers are cut (default: 2048)
  --places N         at how many places of the text, evenly spread (default: 1)
  --bits LIST        bits of an element of a row, of ${KV_BITS.join(",")}
                     (default: all; 32 is always measured, as the others are compared with it)
  --lazy LIST        numbers of lazy layers (default: a third, half and two thirds of the model's)
  --engine E         ${
  ENGINE_CHOICES.join(", ")
} (default: EVERSTREAM_ENGINE, or auto)
  --out DIR          where the results go (default: bench/out/lab)
  --svg FILE         also write the curve as a picture
  --help             print this
`;

/** Least tokens of a cache. */
const LEAST_TOKENS = 64;

/**
 * Reads the command line behind `curve`.
 *
 * @throws {TypeError} if an option is unknown or lacks its value.
 * @throws {RangeError} if a value is none that the option can have, or one is missing.
 */
export function parseCurveOptions(args: readonly string[]): CurveOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      render: { type: "boolean", default: false },
      engine: { type: "string" },
      text: { type: "string" },
      skip: { type: "string", default: "0" },
      tokens: { type: "string", default: "4096" },
      prompt: { type: "string", default: "2048" },
      places: { type: "string", default: "1" },
      bits: { type: "string", default: KV_BITS.join(",") },
      lazy: { type: "string" },
      out: { type: "string", default: "bench/out/lab" },
      svg: { type: "string" },
    },
  });
  const { help, render, engine, text, lazy, svg } = values;
  if (text === undefined && !help && !render) {
    throw new RangeError("Cannot measure without a text: give --text FILE");
  }
  const tokens = whole("--tokens", values.tokens, LEAST_TOKENS);
  const prompt = whole("--prompt", values.prompt, 1);
  if (prompt >= tokens) {
    throw new RangeError(
      `Cannot score anything after a prompt of ${prompt} of ${tokens} tokens: give a shorter --prompt`,
    );
  }
  return {
    help,
    render,
    tokens,
    prompt,
    text: text ?? "",
    skip: whole("--skip", values.skip, 0),
    places: whole("--places", values.places, 1),
    bits: kvBits("--bits", values.bits),
    out: values.out,
    ...(engine === undefined
      ? {}
      : { engine: member("--engine", engine, ENGINE_CHOICES) }),
    ...(lazy === undefined ? {} : { lazy: wholes("--lazy", lazy, 1) }),
    ...(svg === undefined ? {} : { svg }),
  };
}
