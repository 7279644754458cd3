/**
 * The program behind `deno task schemathesis`: serves a scripted model, and has PyPI's schemathesis
 * ask it whatever its own document says may and may not be asked.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { whole } from "../../lib/program/arguments.ts";
import { exitStatus } from "../../lib/program/program.ts";
import { pythonEnvironment } from "../python/environment.ts";
import { hostileApp, KEYS } from "./hostile_app.ts";

const CONFIG = fileURLToPath(new URL("schemathesis.toml", import.meta.url));

const USAGE = `Usage: deno task schemathesis [OPTIONS]

Serves a scripted model and checks with schemathesis that it does what its /openapi.json says, for
data that fits and data that does not. What Python needs is installed once, beside the tests. Exits
with 1 if a check fails.

  --seconds N  how long (default: 60)
  --seed N     of what is asked (default: 1)
  --help       print this
`;

interface Options {
  readonly help: boolean;
  readonly seconds: number;
  readonly seed: number;
}

function parse(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
    },
  });
  return {
    help: values.help,
    seconds: whole("--seconds", values.seconds, 1),
    seed: whole("--seed", values.seed, 0),
  };
}

async function run({ seconds, seed }: Options): Promise<boolean> {
  const python = await pythonEnvironment();
  if (!python) return false;
  await using hostile = await hostileApp();
  const { base, reported } = hostile.app;
  // It leaves notes where it runs.
  const cwd = await Deno.makeTempDir({ prefix: "everstream_schemathesis_" });
  try {
    const { success } = await python.command(
      [
        ..."-m schemathesis.cli --config-file".split(" "),
        CONFIG,
        ...`run ${base}/openapi.json --max-time ${seconds} --seed ${seed}`
          .split(" "),
        ..."--continue-on-failure --generation-database none".split(" "),
        ..."--output-sanitize false --no-color --header".split(" "),
        `Authorization: Bearer ${KEYS.ada}`,
      ],
      { cwd, stdin: "null", stdout: "inherit", stderr: "inherit" },
    ).output();
    for (const error of reported) console.error("The app reported:", error);
    return success && reported.length === 0;
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

if (import.meta.main) {
  Deno.exit(await exitStatus({ usage: USAGE, parse, run }, Deno.args));
}
