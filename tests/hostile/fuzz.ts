/**
 * The program behind `deno task fuzz`: sends a scripted server whatever comes to mind.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { positive, whole } from "../../lib/program/arguments.ts";
import { exitStatus } from "../../lib/program/program.ts";
import { fuzz } from "./fuzzing.ts";

const USAGE = `Usage: deno task fuzz [OPTIONS]

Serves a scripted model, and sends it requests that are nearly right, and others, on every operation
of its document. No answer may be a 500, be an error in another shape than OpenAI's, or tell of the
server's insides; and nothing may be left behind. Exits with 1 and the smallest request that was
found if something is not as it should be. Linux only.

  --minutes N  how long (default: 5)
  --seed N     of what is sent (default: one that is new)
  --help       print this
`;

interface Options {
  readonly help: boolean;
  readonly minutes: number;
  readonly seed: number;
}

function parse(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      minutes: { type: "string", default: "5" },
      seed: { type: "string", default: `${Date.now() % 2 ** 31}` },
    },
  });
  return {
    help: values.help,
    minutes: positive("--minutes", values.minutes),
    seed: whole("--seed", values.seed, 0),
  };
}

async function run({ minutes, seed }: Options): Promise<boolean> {
  console.log(`seed ${seed}`);
  await fuzz({
    seed,
    until: Date.now() + minutes * 60_000,
    log: (line) => console.log(line),
  });
  return true;
}

if (import.meta.main) {
  Deno.exit(await exitStatus({ usage: USAGE, parse, run }, Deno.args));
}
