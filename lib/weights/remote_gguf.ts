/**
 * The metadata of a GGUF file on a server, by range requests: of a file of many gigabytes just the
 * megabytes are fetched in which its header lies.
 *
 * @module
 */
import {
  type BoundedFetchOptions,
  fetchRange,
} from "../models/bounded_fetch.ts";
import { readHeader } from "./gguf.ts";
import type { Metadata } from "./metadata.ts";
import { WeightFileError } from "./weight_file_error.ts";

/** Bytes of the first request; each further one doubles what is there. */
const FIRST_BYTES = 1 << 20;

/**
 * Fetches the metadata of a GGUF file, whatever tensors it has. The header's limits are those of a
 * file on disk, so that no more than {@linkcode MAX_HEADER_BYTES} are fetched.
 *
 * @throws {WeightFileError} The header is damaged, too large, or of an unsupported kind.
 * @throws {Error} The server does not have the file, or does not answer range requests.
 */
export async function fetchGgufMetadata(
  url: string,
  options: BoundedFetchOptions = {},
): Promise<Metadata> {
  let { bytes, total } = await fetchRange(
    url,
    { start: 0, end: FIRST_BYTES },
    options,
  );
  for (;;) {
    try {
      const file = new Beginning(bytes);
      return (await readHeader({ path: url, file, size: total })).metadata;
    } catch (error) {
      if (!(error instanceof BeyondBeginning)) throw error;
      const range = { start: bytes.length, end: error.wanted };
      const next = await fetchRange(url, range, options);
      if (next.total !== total) {
        throw new WeightFileError(url, "the file changed while it was read");
      }
      bytes = new Uint8Array(
        await new Blob([bytes, next.bytes]).arrayBuffer(),
      );
    }
  }
}

/** What there is of a file, as the walk of a header reads one. */
class Beginning {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  seekSync(offset: number | bigint): number {
    return this.#at = Number(offset);
  }

  readSync(into: Uint8Array): number {
    const bytes = this.#bytes.subarray(this.#at, this.#at + into.length);
    if (bytes.length === 0) throw new BeyondBeginning(this.#at + into.length);
    into.set(bytes);
    this.#at += bytes.length;
    return bytes.length;
  }
}

/** The walk needs the file up to the byte `wanted`: it begins anew once that is there. */
class BeyondBeginning extends Error {
  constructor(readonly wanted: number) {
    super();
  }
}
