/**
 * Python with the packages of `requirements.txt`, for tests of clients and tools that are written in
 * it. They are installed once, beside this file, by whatever pip the machine has: no virtual
 * environment, whose module Debian has in a package of its own.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256OfText } from "../../lib/models/sha256.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const REQUIREMENTS = join(HERE, "requirements.txt");
const PYTHON = "python3";

/** Python with packages. */
export interface PythonEnvironment {
  /** A program of it, as `["script.py"]` or `["-m", "module"]` with its arguments, not started yet. */
  command(
    args: readonly string[],
    options?: Omit<Deno.CommandOptions, "args">,
  ): Deno.Command;
}

let opened: Promise<PythonEnvironment | null> | undefined;

/**
 * The environment, made if it is not there yet; `null` where it cannot be, which is printed.
 *
 * @throws {Error} instead of `null`, if `EVERSTREAM_REQUIRE_PYTHON` is 1
 */
export function pythonEnvironment(): Promise<PythonEnvironment | null> {
  return opened ??= open();
}

async function open(): Promise<PythonEnvironment | null> {
  try {
    const packages = await installed();
    return {
      command: (args, options = {}) =>
        new Deno.Command(PYTHON, {
          ...options,
          args: [...args],
          env: {
            ...options.env,
            PYTHONPATH: packages,
            PYTHONNOUSERSITE: "1",
            PYTHONDONTWRITEBYTECODE: "1",
          },
        }),
    };
  } catch (error) {
    if (Deno.env.get("EVERSTREAM_REQUIRE_PYTHON") === "1") throw error;
    console.warn(`No Python test runs: ${(error as Error).message}`);
    return null;
  }
}

/** The directory with the packages for this machine's Python. */
async function installed(): Promise<string> {
  const version = await outputOf(["-VV"]);
  const requirements = await Deno.readTextFile(REQUIREMENTS);
  const name = sha256OfText(version + requirements).slice(0, 16);
  const packages = join(HERE, ".packages", name);
  if (await Deno.stat(packages).then(() => true, () => false)) return packages;
  // Whole or not at all, whoever else does the same at the same time.
  const part = `${packages}.${crypto.randomUUID()}.part`;
  try {
    const options = "--quiet --disable-pip-version-check --no-input";
    await outputOf([
      ..."-m pip install --only-binary=:all:".split(" "),
      ...options.split(" "),
      "--target",
      part,
      "--requirement",
      REQUIREMENTS,
    ]);
    await Deno.rename(part, packages);
  } catch (error) {
    await Deno.remove(part, { recursive: true }).catch(() => {});
    if (!(await Deno.stat(packages).then(() => true, () => false))) throw error;
  }
  return packages;
}

async function outputOf(args: string[]): Promise<string> {
  const command = new Deno.Command(PYTHON, { args, stdin: "null" });
  const { success, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (success) return text(stdout);
  throw new Error(
    `${PYTHON} ${args.slice(0, 3).join(" ")} failed: ${
      text(stderr).trim().slice(-500)
    }`,
  );
}
