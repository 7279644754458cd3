/**
 * Where model files are kept when the user does not say.
 *
 * @module
 */
import { isAbsolute, join } from "node:path";

/** What {@linkcode defaultModelsDirectory} needs of `Deno.env`; a `Map` will do. */
export interface Environment {
  /** The variable's value, or `undefined`. */
  get(name: string): string | undefined;
}

/**
 * The per-user cache directory for models: `everstream/models` under `XDG_CACHE_HOME` or `~/.cache`
 * (Linux and others), `~/Library/Caches` (macOS), or `LOCALAPPDATA` (Windows).
 *
 * @throws {Error} If the environment names no home directory.
 *
 * @example Linux
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const env = new Map([["HOME", "/home/ada"]]);
 * assertEquals(
 *   defaultModelsDirectory(env, "linux"),
 *   "/home/ada/.cache/everstream/models",
 * );
 * ```
 */
export function defaultModelsDirectory(
  env: Environment = Deno.env,
  os: typeof Deno.build.os = Deno.build.os,
): string {
  return join(cacheHome(env, os), "everstream", "models");
}

function cacheHome(env: Environment, os: typeof Deno.build.os): string {
  if (os === "windows") return need(env, "LOCALAPPDATA");
  if (os === "darwin") return join(need(env, "HOME"), "Library", "Caches");
  // The XDG specification: a relative path is to be ignored.
  const xdg = env.get("XDG_CACHE_HOME");
  return xdg && isAbsolute(xdg) ? xdg : join(need(env, "HOME"), ".cache");
}

function need(env: Environment, name: string): string {
  const value = env.get(name);
  if (value) return value;
  throw new Error(
    `Cannot choose a directory for models: the environment variable ${name} is not set`,
  );
}
