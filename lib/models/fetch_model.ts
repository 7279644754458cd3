/**
 * Fetching a model file into the models directory: one source after the other, the hash checked
 * before the file gets its name.
 *
 * @module
 */
import { dirname } from "node:path";
import { withFileLock } from "./file_lock.ts";
import type { ModelFile } from "./model_file.ts";
import type { FetchOptions, ModelSource } from "./model_source.ts";
import { isDiskFull, removeIfPresent } from "./part_file.ts";
import { sha256OfFile } from "./sha256.ts";

/** Options of {@linkcode fetchModel}. */
export interface FetchModelOptions extends FetchOptions {
  /** The sources in the order in which they are tried. */
  sources: readonly ModelSource[];
}

/**
 * Fetches `model` to `path` from the first source that has it. Of several processes that do so at
 * once, one fetches and the others wait for it. What a cut fetch has brought stays in `path` +
 * `.part` for the next.
 *
 * @throws {AggregateError} If no source has it; the message says why for each, and what to do.
 * @throws {Error} If the directory cannot be written, or the disk is full.
 */
export async function fetchModel(
  model: ModelFile,
  path: string,
  options: FetchModelOptions,
): Promise<void> {
  using lock = await openLock(path);
  await withFileLock(lock, async () => {
    if (await isFile(path)) return; // Another process was first.
    await trySources(model, path, options);
  }, { signal: options.signal });
}

async function openLock(path: string): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    return await Deno.open(`${path}.lock`, { create: true, write: true });
  } catch (cause) {
    throw new Error(
      `Cannot keep a model in ${dirname(path)}: ${asError(cause).message}; ` +
        `choose another models directory`,
      { cause },
    );
  }
}

/** Whether there is a file at `path`, links followed. */
export async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) {
      return false;
    }
    throw error;
  }
}

async function trySources(
  model: ModelFile,
  path: string,
  options: FetchModelOptions,
): Promise<void> {
  const part = `${path}.part`;
  const failures: { name: string; error: Error }[] = [];
  for (const source of options.sources) {
    options.signal?.throwIfAborted();
    try {
      const fetched = await source.fetch(model, part, options);
      await verify(part, model.sha256 ?? fetched.sha256);
      await Deno.rename(part, path);
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isDiskFull(error)) {
        await removeIfPresent(part);
        throw diskFull(model, path, error);
      }
      failures.push({ name: source.name, error: asError(error) });
    }
  }
  const errors = failures.map(({ error }) => error);
  throw new AggregateError(errors, unavailable(model, path, failures));
}

async function verify(part: string, sha256: string | undefined): Promise<void> {
  if (sha256 === undefined) return;
  const actual = await sha256OfFile(part);
  if (actual === sha256) return;
  await removeIfPresent(part);
  throw new Error(
    `the file's SHA-256 is ${actual} instead of ${sha256}; what was fetched is deleted`,
  );
}

function diskFull(model: ModelFile, path: string, cause: unknown): Error {
  const need = model.bytes === undefined ? "" : ` (${model.bytes} bytes)`;
  return new Error(
    `Cannot fetch model ${model.id}${need}: the disk that holds ${
      dirname(path)
    } is full; ` +
      `what was fetched is deleted. Free some space or choose another models directory`,
    { cause },
  );
}

function unavailable(
  model: ModelFile,
  path: string,
  failures: { name: string; error: Error }[],
): string {
  const facts = [
    model.bytes === undefined ? undefined : `${model.bytes} bytes`,
    model.sha256 === undefined ? undefined : `SHA-256 ${model.sha256}`,
  ].filter((fact) => fact !== undefined).join(", ");
  return [
    `Cannot fetch model ${model.id}; tried:`,
    `  - the file ${path}: not there`,
    ...failures.map(({ name, error }) => `  - ${name}: ${reasonOf(error)}`),
    `Put the file${facts && ` (${facts})`} at ${path}, ` +
    `or give the path of a GGUF file as EVERSTREAM_MODEL, ` +
    `or start again with a network; a cut download goes on where it ended.`,
  ].join("\n");
}

/** `fetch` keeps what went wrong in its error's cause. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message}: ${reasonOf(cause)}` : message;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
