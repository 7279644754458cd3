/**
 * The seam between fetching a model and the places it may come from.
 *
 * @module
 */
import type { ModelFile } from "./model_file.ts";

/** How far a fetch has come. */
export interface FetchProgress {
  /** The name of the source. */
  source: string;
  /** Bytes received so far, those of an earlier, cut fetch included. */
  received: number;
  /** Bytes there are, where known. */
  total: number | undefined;
}

/** Options of {@linkcode ModelSource.fetch}. */
export interface FetchOptions {
  /** Called as bytes arrive. */
  onProgress?: ((progress: FetchProgress) => void) | undefined;
  /** Ends the fetch; what has arrived stays in the part file. */
  signal?: AbortSignal | undefined;
}

/** What a source knows of the file that it has fetched. */
export interface Fetched {
  /** The SHA-256 that the source claims for the whole file, in lower-case hex. */
  sha256?: string | undefined;
}

/** A place that model files come from. */
export interface ModelSource {
  /** The name in messages: "the Hugging Face hub". */
  readonly name: string;
  /**
   * Writes the whole file to `destination`, which may hold the beginning of it from an earlier,
   * cut fetch. Checking the result is the caller's part.
   */
  fetch(
    model: ModelFile,
    destination: string,
    options?: FetchOptions,
  ): Promise<Fetched>;
}
