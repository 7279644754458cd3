/** The command line of `deno task soak`. @module */
import { parseArgs } from "node:util";
import { positive, share, whole } from "../../lib/program/arguments.ts";

/** What was asked for. */
export interface SoakOptions {
  readonly help: boolean;
  readonly minutes: number;
  /** Turns of one conversation, instead of clients who come and go. */
  readonly turns?: number;
  readonly clients: number;
  /** Share of requests whose client leaves before the answer has ended. */
  readonly hangup: number;
  /** The server's `EVERSTREAM_MEMORY`; absent: what the environment says. */
  readonly memory?: string;
  /** Seconds between samples. */
  readonly every: number;
  readonly seed: number;
  /** Where the results go as JSON. */
  readonly json?: string;
}

/** What `--help` prints. */
export const USAGE = `Usage: deno task soak [OPTIONS]

Starts the server, has clients chat with it and leave in the middle, and watches its memory, its
queue and its slots. Exits with 1 if something is not as it should be. Variables of the environment
(EVERSTREAM_…) reach the server. Linux only.

With --turns one conversation goes on through /v1/responses, in a window of 124 tokens unless
EVERSTREAM_WINDOW says another, stored in a directory that is removed at the end: nothing of a turn
may grow with how many there were.

  --turns N       turns of one conversation; --minutes, --clients, --hangup, --every and --seed are
                  of no use then
  --minutes N     how long clients begin new turns (default: 10)
  --clients N     clients that chat at once (default: 64)
  --hangup SHARE  share of requests whose client leaves before its answer has ended (default: 0.33)
  --memory SIZE   the server's EVERSTREAM_MEMORY (as 384MiB)
  --every N       seconds between samples (default: 5)
  --seed N        of what clients say and do (default: 1)
  --json FILE     write samples and counts there
  --help          print this
`;

/**
 * Reads the command line.
 *
 * @throws {TypeError} if an option is unknown or lacks its value.
 * @throws {RangeError} if a value is none that the option can have.
 */
export function parseSoakOptions(args: readonly string[]): SoakOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      turns: { type: "string" },
      minutes: { type: "string", default: "10" },
      clients: { type: "string", default: "64" },
      hangup: { type: "string", default: "0.33" },
      memory: { type: "string" },
      every: { type: "string", default: "5" },
      seed: { type: "string", default: "1" },
      json: { type: "string" },
    },
  });
  const { help, turns, memory, json } = values;
  return {
    help,
    minutes: positive("--minutes", values.minutes),
    clients: whole("--clients", values.clients, 1),
    hangup: share("--hangup", values.hangup),
    every: positive("--every", values.every),
    seed: whole("--seed", values.seed, 0),
    ...(turns === undefined ? {} : { turns: whole("--turns", turns, 10) }),
    ...(memory === undefined ? {} : { memory }),
    ...(json === undefined ? {} : { json }),
  };
}
