/**
 * How a user names a model: an alias, a path, or a file on the Hugging Face hub.
 *
 * @module
 */
import { basename } from "node:path";
import { knownModels } from "./known_models.ts";
import type { ModelFile } from "./model_file.ts";

// Names become folders under the models directory, on Windows too: no `..`, no `C:`.
const NAME = /^[^<>:"|?*\\\p{Cc}]*[^<>:"|?*\\\p{Cc}. ]$/u;

/** A parsed model reference. */
export type ModelReference =
  | { kind: "alias"; model: ModelFile }
  | { kind: "path"; path: string }
  | { kind: "hub"; model: ModelFile };

/** Options of {@linkcode parseModelReference}. */
export interface ParseReferenceOptions {
  /** Whether a path exists; by default the file system is asked. */
  exists?: (path: string) => boolean;
}

/**
 * Reads a model reference: an alias (`default`, `smollm2-135m-instruct`), a path (it holds a `/`,
 * ends in `.gguf`, or exists), or `hf:owner/repo/file[@revision]`, where the file may lie in
 * sub-folders.
 *
 * @throws {SyntaxError} If the text is none of these.
 *
 * @example An alias
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const reference = parseModelReference("default");
 * assertEquals(reference.kind, "alias");
 * ```
 */
export function parseModelReference(
  text: string,
  options: ParseReferenceOptions = {},
): ModelReference {
  const { exists = fileExists } = options;
  const model = knownModels.get(text);
  if (model) return { kind: "alias", model };
  if (text.startsWith("hf:")) return { kind: "hub", model: parseHub(text) };
  if (text.trim() === "") {
    throw new SyntaxError(`Cannot parse model reference: it is empty`);
  }
  if (/[/\\]/.test(text) || isGguf(text) || exists(text)) {
    return { kind: "path", path: text };
  }
  const aliases = [...knownModels.keys()].join(", ");
  throw new SyntaxError(
    `Cannot parse model reference ${JSON.stringify(text)}: ` +
      `it is no alias (${aliases}), no path of a file that exists, ` +
      `and not of the form hf:owner/repo/file[@revision]`,
  );
}

/** The id of a model file that has no alias: the file's name without `.gguf`. */
export function idOfPath(path: string): string {
  const name = basename(path);
  return isGguf(name) && name.length > 5 ? name.slice(0, -5) : name;
}

function parseHub(text: string): ModelFile {
  const fail = (why: string) =>
    new SyntaxError(
      `Cannot parse model reference ${JSON.stringify(text)}: ${why}; ` +
        `the form is hf:owner/repo/file[@revision]`,
    );
  const at = text.indexOf("@");
  const segments = text.slice(3, at < 0 ? undefined : at).split("/");
  const revision = at < 0 ? undefined : text.slice(at + 1);
  const [owner, name, ...folders] = segments;
  if (owner === undefined || name === undefined || folders.length === 0) {
    throw fail("owner, repository or file is missing");
  }
  if (revision === "") throw fail("the revision is empty");
  const bad = segments.find((segment) => !NAME.test(segment));
  if (bad !== undefined) {
    throw fail(
      `${JSON.stringify(bad)} is no name of an owner, repository or file`,
    );
  }
  const path = folders.join("/");
  const folder = revision === undefined
    ? name
    : `${name}@${encodeURIComponent(revision)}`;
  return {
    id: idOfPath(path),
    file: `${owner}/${folder}/${path}`,
    hub: { repo: `${owner}/${name}`, path, revision },
  };
}

function isGguf(text: string): boolean {
  return text.toLowerCase().endsWith(".gguf");
}

function fileExists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
