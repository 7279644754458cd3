/**
 * A weight file that cannot be used: damaged, hostile, or of a kind that is not supported.
 *
 * The message opens with the file's path and names the tensor or the metadata key at fault.
 *
 * @example Telling a bad file from a bug
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 * import { WeightFileError } from "./weight_file_error.ts";
 *
 * const error = new WeightFileError("model.gguf", 'tensor "output.weight": ends past the file');
 * assertStringIncludes(error.message, "model.gguf: tensor");
 * ```
 */
export class WeightFileError extends Error {
  override readonly name = "WeightFileError";
  /** The file at fault. */
  readonly path: string;

  /** Makes the error for the file at `path`; `reason` says what is wrong with it, and where. */
  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`${path}: ${reason}`, options);
    this.path = path;
  }
}
