/** The keys that the configuration names, and their file read again. @module */
import { KeyRing, parseKeyFile } from "./keys.ts";

/** Where the digests of keys come from. */
export interface KeySources {
  /** Digests that are given. */
  readonly digests: readonly string[];
  /** A file with more of them. */
  readonly file: string | null;
}

/** Whether there are no keys, and everybody is admitted. */
export function isOpen({ digests, file }: KeySources): boolean {
  return digests.length === 0 && file === null;
}

/** Keys, and how to read their file again. */
export interface OpenKeys {
  readonly ring: KeyRing;
  /**
   * Reads the file again.
   *
   * @throws {Error} if it cannot be read or understood: the keys stay what they were
   */
  reload(): void;
}

/**
 * Opens the keys; `null` if none are configured, and then everybody is admitted. A file without a
 * single key admits nobody.
 *
 * @throws {Error} if the file cannot be read or understood
 */
export function openKeys(sources: KeySources): OpenKeys | null {
  if (isOpen(sources)) return null;
  const { digests, file } = sources;
  const read = () => file === null ? digests : [...digests, ...readFile(file)];
  const ring = new KeyRing(read());
  return { ring, reload: () => ring.replace(read()) };
}

function readFile(path: string): string[] {
  try {
    return parseKeyFile(Deno.readTextFileSync(path));
  } catch (error) {
    throw new Error(
      `Cannot read the API keys of EVERSTREAM_API_KEYS_FILE=${path}: ${
        (error as Error).message
      }`,
    );
  }
}
