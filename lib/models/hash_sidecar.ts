/**
 * Remembers a file's hash beside it, so that a warm start does not hash 100 MB again.
 *
 * @module
 */
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { sha256OfFile, sha256OfText } from "./sha256.ts";

interface Sidecar {
  size: number;
  mtimeMs: number;
  sha256: string;
}

/** Options of {@linkcode rememberedSha256}. */
export interface SidecarOptions {
  /** The models directory. */
  directory: string;
  /** How a file is hashed; tests count the calls. */
  hash?: ((path: string) => Promise<string>) | undefined;
}

/**
 * The SHA-256 of the file at `path` in lower-case hex, from its sidecar if that was written for the
 * same size and modification time. A sidecar that cannot be written is done without.
 */
export async function rememberedSha256(
  path: string,
  options: SidecarOptions,
): Promise<string> {
  const { directory, hash = sha256OfFile } = options;
  const sidecar = sidecarPath(path, directory);
  const { size, mtime } = await Deno.stat(path);
  const mtimeMs = mtime?.getTime();
  const known = await readSidecar(sidecar);
  if (known && known.size === size && known.mtimeMs === mtimeMs) {
    return known.sha256;
  }
  const sha256 = await hash(path);
  if (mtimeMs !== undefined) {
    await writeSidecar(sidecar, { size, mtimeMs, sha256 });
  }
  return sha256;
}

/** Where a file's sidecar lies: never beside a file outside the models directory. */
export function sidecarPath(path: string, directory: string): string {
  const inside = relative(resolve(directory), resolve(path));
  if (inside.split(/[/\\]/)[0] !== ".." && !isAbsolute(inside)) {
    return `${path}.sha256.json`;
  }
  return join(directory, "hashes", `${sha256OfText(resolve(path))}.json`);
}

async function readSidecar(path: string): Promise<Sidecar | undefined> {
  try {
    const value = JSON.parse(await Deno.readTextFile(path)) as Partial<Sidecar>;
    if (!/^[0-9a-f]{64}$/.test(String(value?.sha256))) return undefined;
    return value as Sidecar;
  } catch {
    return undefined; // Absent, unreadable or damaged: the file is hashed instead.
  }
}

async function writeSidecar(path: string, sidecar: Sidecar): Promise<void> {
  const temporary = `${path}.${Deno.pid}`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(temporary, JSON.stringify(sidecar) + "\n");
    await Deno.rename(temporary, path);
  } catch {
    // A read-only or full directory only costs time at the next start.
    await Deno.remove(temporary).catch(() => {});
  }
}
