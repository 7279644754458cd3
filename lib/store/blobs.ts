/**
 * Where the bytes of snapshots lie: in files of a directory, or in memory.
 *
 * They are megabytes each and replaced turn by turn. In the database each would be written twice
 * (write-ahead log, then table) and overwritten with zeros when replaced, all on the thread that
 * answers requests; a file is written once, elsewhere, and removed at once.
 *
 * @module
 */
import { join } from "node:path";

/** Bytes by name. */
export interface Blobs {
  /** Writes all of them, or throws. */
  write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** What was written, or what a power cut left of it; `null` if there is none. */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Removes it if it is there. */
  remove(name: string): Promise<void>;
  /** Names of all, of unfinished ones too. */
  names(): Promise<string[]>;
}

/** Files that only this user may read. Their directory holds nothing else. */
export class BlobDirectory implements Blobs {
  readonly #path: string;

  /** Makes the directory if it is not there. */
  constructor(path: string) {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    this.#path = path;
  }

  /** Not synced: what a power cut leaves is found out by its checksum. */
  async write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const part = this.#file(`${name}.part`);
    try {
      await Deno.writeFile(part, bytes, { mode: 0o600 });
      await Deno.rename(part, this.#file(name));
    } catch (error) {
      await this.remove(`${name}.part`);
      throw error;
    }
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    return await unlessAbsent(Deno.readFile(this.#file(name)));
  }

  async remove(name: string): Promise<void> {
    await unlessAbsent(Deno.remove(this.#file(name)));
  }

  async names(): Promise<string[]> {
    return (await Array.fromAsync(Deno.readDir(this.#path))).map(({ name }) =>
      name
    );
  }

  #file(name: string): string {
    return join(this.#path, name);
  }
}

/** Bytes that end with the process. */
export class BlobMap implements Blobs {
  readonly #bytes = new Map<string, Uint8Array<ArrayBuffer>>();

  write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#bytes.set(name, bytes.slice());
    return Promise.resolve();
  }

  read(name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    return Promise.resolve(this.#bytes.get(name)?.slice() ?? null);
  }

  remove(name: string): Promise<void> {
    this.#bytes.delete(name);
    return Promise.resolve();
  }

  names(): Promise<string[]> {
    return Promise.resolve([...this.#bytes.keys()]);
  }
}

async function unlessAbsent<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
