/** The command line of `deno task calibrate`. @module */
import { parseArgs } from "node:util";
import { share, whole } from "../program/arguments.ts";

/** What is asked for. */
export interface CalibrateOptions {
  readonly help: boolean;
  /** Path of a text. */
  readonly text: string;
  /** Tokens of each conversation. */
  readonly tokens: number;
  /** Conversations, from places of the text that are equally far apart. */
  readonly places: number;
  /** Mass from which a layer is lazy. */
  readonly threshold: number;
}

/** What `--help` prints. */
export const USAGE = `deno task calibrate --text FILE [options]

Measures how much of their attention the layers of EVERSTREAM_MODEL give to the first and the most
recent tokens (SimLayerKV), and keeps beside its converted graph how many are lazy: what policy
"simplayer" then takes for EVERSTREAM_LAZY_LAYERS=auto.

  --text FILE     a text as conversations are, of at least --tokens tokens
  --tokens N      tokens of a conversation (default: 4096)
  --places N      conversations, from all over the text (default: 4)
  --threshold S   mass from which a layer is lazy, 0 to 1 (default: 0.9)
  --help          print this
`;

/**
 * Reads the command line.
 *
 * @throws {Error} that says which option is wrong
 */
export function parseCalibrateOptions(
  args: readonly string[],
): CalibrateOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      text: { type: "string", default: "" },
      tokens: { type: "string", default: "4096" },
      places: { type: "string", default: "4" },
      threshold: { type: "string", default: "0.9" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.text === "" && !values.help) {
    throw new RangeError("Cannot calibrate without a text: give --text FILE");
  }
  return {
    help: values.help,
    text: values.text,
    tokens: whole("--tokens", values.tokens, 256),
    places: whole("--places", values.places, 1),
    threshold: share("--threshold", values.threshold),
  };
}
