/** The command line of `deno task turns`. @module */
import { parseArgs } from "node:util";
import { whole } from "../../lib/program/arguments.ts";
import { LEAST_TURNS } from "./summary.ts";

/** What was asked for. */
export interface TurnsOptions {
  readonly help: boolean;
  readonly turns: number;
  /** Tokens of the window, behind 4 sinks; the peers' contexts are as large in all. */
  readonly window: number;
  /** Most tokens of an answer. */
  readonly answer: number;
  readonly peers: boolean;
  /** Where the results go as JSON. */
  readonly json?: string;
}

/** What `--help` prints. */
export const USAGE = `Usage: deno task turns [OPTIONS]

Has a conversation go on and on with the model that EVERSTREAM_MODEL names, once through
/v1/responses, which holds it, and once with a plain chat client, which sends all of it each time, a
turn of each at a time, 0.2 s after the last; and prints what a turn costs at the beginning, in the middle and at the end.

  --turns N    turns of each (default: 200)
  --window N   tokens of the window, behind 4 sinks (default: 508)
  --answer N   most tokens of an answer (default: 16)
  --peers      also llama.cpp's Python and Node packages with contexts of the same size, as their
               users run them; they are installed into bench/.peers, which takes minutes at first
  --json FILE  write every turn there
  --help       print this
`;

/**
 * Reads the command line.
 *
 * @throws {TypeError} if an option is unknown or lacks its value.
 * @throws {RangeError} if a value is none that the option can have.
 */
export function parseTurnsOptions(args: readonly string[]): TurnsOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      turns: { type: "string", default: "200" },
      window: { type: "string", default: "508" },
      answer: { type: "string", default: "16" },
      peers: { type: "boolean", default: false },
      json: { type: "string" },
    },
  });
  const { help, peers, json } = values;
  return {
    help,
    peers,
    turns: whole("--turns", values.turns, LEAST_TURNS),
    window: whole("--window", values.window, 1),
    answer: whole("--answer", values.answer, 1),
    ...(json === undefined ? {} : { json }),
  };
}
