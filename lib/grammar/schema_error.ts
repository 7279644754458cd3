/** What is wrong with a JSON Schema, and where. @module */

/** Keys from the schema's root to a part of it. */
export type SchemaPath = readonly (string | number)[];

/** A schema that no grammar is made of. The message is what the value at `path` must be. */
export class SchemaError extends Error {
  override name = "SchemaError";
  readonly path: SchemaPath;

  constructor(path: SchemaPath, message: string) {
    super(message);
    this.path = path;
  }
}
