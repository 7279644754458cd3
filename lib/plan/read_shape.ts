/**
 * From what a user names to a model's numbers, reading no more than a header.
 *
 * @module
 */
import { join } from "node:path";
import { familyOf } from "../graph/convert.ts";
import type { CacheShape } from "../graph/decoder_shape.ts";
import {
  type BoundedFetchOptions,
  fetchUpTo,
} from "../models/bounded_fetch.ts";
import { isFile } from "../models/fetch_model.ts";
import type { HubFile } from "../models/model_file.ts";
import { parseModelReference } from "../models/reference.ts";
import { readGgufMetadata } from "../weights/gguf.ts";
import { fetchGgufMetadata } from "../weights/remote_gguf.ts";
import { MAX_CONFIG_BYTES, readConfigJson } from "./config_json.ts";

/** Options of {@linkcode readShape}. */
export interface ReadShapeOptions extends BoundedFetchOptions {
  /** The models directory: what is there is not fetched. */
  readonly directory: string;
  /** The Hugging Face hub's address, if not the public one. */
  readonly hubUrl?: string | undefined;
}

/** Where a file is. */
type Place = { readonly path: string } | { readonly url: string };

/**
 * Reads a model's numbers from the header of a GGUF file or from a `config.json`.
 *
 * @param reference an alias, a path, `hf:owner/repo/file[@revision]`, or an address (`https://…`)
 * @throws {SyntaxError} if it is none of these
 * @throws {Error} if the file is not there, or not one of a known model
 */
export async function readShape(
  reference: string,
  options: ReadShapeOptions,
): Promise<CacheShape> {
  const place = await findFile(reference, options);
  return isJson(place)
    ? readConfigJson(nameOf(place), await configText(place, options))
    : await ggufShape(place, options);
}

async function findFile(
  reference: string,
  { directory, hubUrl = "https://huggingface.co" }: ReadShapeOptions,
): Promise<Place> {
  if (/^https?:\/\//i.test(reference)) return { url: new URL(reference).href };
  const parsed = parseModelReference(reference);
  if (parsed.kind === "path") return { path: parsed.path };
  const { file, hub } = parsed.model;
  const path = join(directory, ...file.split("/"));
  return await isFile(path) ? { path } : { url: `${hubUrl}/${hubPath(hub)}` };
}

function hubPath({ repo, path, revision = "main" }: HubFile): string {
  return [
    ...repo.split("/"),
    "resolve",
    revision,
    ...path.split("/"),
  ].map(encodeURIComponent).join("/");
}

function nameOf(place: Place): string {
  return "url" in place ? place.url : place.path;
}

function isJson(place: Place): boolean {
  const path = "url" in place ? new URL(place.url).pathname : place.path;
  return path.toLowerCase().endsWith(".json");
}

async function configText(
  place: Place,
  options: BoundedFetchOptions,
): Promise<string> {
  const bytes = "url" in place
    ? await fetchUpTo(place.url, MAX_CONFIG_BYTES, options)
    : await readUpTo(place.path, MAX_CONFIG_BYTES);
  return new TextDecoder().decode(bytes);
}

async function readUpTo(path: string, most: number): Promise<Uint8Array> {
  const { isFile, size } = await Deno.stat(path);
  if (!isFile || size > most) {
    throw new RangeError(
      `Cannot read ${path}: it must be a file of at most ${most} bytes`,
    );
  }
  return await Deno.readFile(path);
}

async function ggufShape(
  place: Place,
  options: BoundedFetchOptions,
): Promise<CacheShape> {
  const metadata = "url" in place
    ? await fetchGgufMetadata(place.url, options)
    : await readGgufMetadata(place.path);
  return familyOf(metadata).readCacheShape(metadata);
}
