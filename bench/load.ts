/**
 * The program behind `deno task load`: autocannon, an HTTP benchmark of its own, against a running
 * server or one that is started for it. It shows what the whole way costs, the HTTP one included,
 * by a clock that is not ours.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { whole, wholes } from "../lib/program/arguments.ts";
import { exitStatus } from "../lib/program/program.ts";
import { startServer } from "./server.ts";

const AUTOCANNON = "autocannon@9.0.0";
/** Seconds that autocannon waits for one answer. */
const PATIENCE = 120;

const USAGE = `Usage: deno task load [OPTIONS]

Runs ${AUTOCANNON} (by npx, from npm) on POST /v1/chat/completions, not streamed, 16 tokens an
answer, and prints its tables.

  --url URL           a running server (default: one is started, with the environment's variables)
  --connections LIST  connections at once, one run each (default: 8,16)
  --seconds N         length of a run (default: 20)
  --help              print this
`;

/** What was asked for. */
export interface LoadOptions {
  readonly help: boolean;
  readonly url?: string;
  readonly connections: readonly number[];
  readonly seconds: number;
}

/**
 * Reads the command line.
 *
 * @throws {TypeError} if an option is unknown or lacks its value, or the URL is none.
 * @throws {RangeError} if a value is none that the option can have.
 */
export function parseLoadOptions(args: readonly string[]): LoadOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      url: { type: "string" },
      connections: { type: "string", default: "8,16" },
      seconds: { type: "string", default: "20" },
    },
  });
  const { help, url } = values;
  return {
    help,
    connections: wholes("--connections", values.connections, 1),
    seconds: whole("--seconds", values.seconds, 1),
    ...(url === undefined ? {} : { url: new URL(url).origin }),
  };
}

/** The command that loads a server with so many connections. */
export function autocannonCommand(
  url: string,
  { connections, seconds }: { connections: number; seconds: number },
): string[] {
  return [
    "npx",
    "--yes",
    AUTOCANNON,
    "--method=POST",
    "--headers=content-type=application/json",
    `--body=${JSON.stringify(REQUEST)}`,
    "--idReplacement", // each request its own text, so that none is found in a cache
    `--connections=${connections}`,
    `--duration=${seconds}`,
    `--timeout=${PATIENCE}`,
    "--renderStatusCodes",
    "--no-progress",
    `${url}/v1/chat/completions`,
  ];
}

const REQUEST = {
  model: "default",
  messages: [{
    role: "user",
    content: "[<id>] Write a sentence about the sea.",
  }],
  max_tokens: 16,
};

async function load(options: LoadOptions): Promise<boolean> {
  if (options.url !== undefined) {
    await loadAt(options.url, options);
    return true;
  }
  await using server = await startServer({});
  await loadAt(server.url, options);
  return true;
}

async function loadAt(url: string, options: LoadOptions): Promise<void> {
  const { seconds } = options;
  for (const connections of options.connections) {
    console.log(`\n${connections} connections for ${seconds} s`);
    const [program, ...args] = autocannonCommand(url, { connections, seconds });
    const { success, code } = await new Deno.Command(program!, {
      args,
      stdin: "null",
    }).spawn().status;
    if (!success) throw new Error(`Cannot load ${url}: npx ended with ${code}`);
  }
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseLoadOptions, run: load };
  Deno.exit(await exitStatus(program, Deno.args));
}
