import { WeightFileError } from "./weight_file_error.ts";

/** A metadata value as the file holds it; 64-bit integers are `bigint`. */
export type MetadataValue =
  | string
  | number
  | bigint
  | boolean
  | readonly MetadataValue[];

function describe(value: MetadataValue): string {
  if (typeof value === "string") {
    return `the string ${
      JSON.stringify(value.length > 40 ? value.slice(0, 40) + "…" : value)
    }`;
  }
  if (typeof value !== "object") return `the ${typeof value} ${value}`;
  const kinds = [...new Set(value.slice(0, 100).map((item) => typeof item))];
  return `an array of ${value.length} (${kinds.join(", ") || "empty"})`;
}

function toNumber(value: MetadataValue): number | undefined {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number") return undefined;
  return typeof value === "number" || Number.isSafeInteger(number)
    ? number
    : undefined;
}

function toArray<T>(
  value: MetadataValue,
  convert: (item: MetadataValue) => T | undefined,
): T[] | undefined {
  if (typeof value !== "object") return undefined;
  const out = new Array<T>(value.length);
  for (let i = 0; i < value.length; i++) {
    const item = convert(value[i]!);
    if (item === undefined) return undefined;
    out[i] = item;
  }
  return out;
}

function asNumber(value: MetadataValue): number | undefined {
  const number = toNumber(value);
  return Number.isFinite(number) ? number : undefined;
}

function asString(value: MetadataValue): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function asBoolean(value: MetadataValue): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

/**
 * A weight file's metadata, read by type: each getter checks the value that it gives.
 *
 * A getter throws {@linkcode WeightFileError} with the key and with what was found where the value
 * has another type, or where it is absent and the getter's name does not start with `optional`.
 *
 * @example Reading a model's sizes
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { Metadata } from "./metadata.ts";
 *
 * const metadata = new Metadata("model.gguf", new Map([["llama.block_count", 30]]));
 * assertEquals(metadata.number("llama.block_count"), 30);
 * assertEquals(metadata.optionalNumber("llama.vocab_size"), undefined);
 * assertThrows(() => metadata.string("llama.block_count"), Error, "found the number 30");
 * ```
 */
export class Metadata {
  readonly #path: string;
  readonly #values: ReadonlyMap<string, MetadataValue>;

  /** Wraps the values of the file at `path`. */
  constructor(path: string, values: ReadonlyMap<string, MetadataValue>) {
    this.#path = path;
    this.#values = values;
  }

  /** Every key, in the file's order. */
  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** Tells whether the file has the key. */
  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** A finite number; 64-bit integers must be exact as a number. */
  number(key: string): number {
    return this.#required(key, "a number", asNumber);
  }

  /** As {@linkcode number}, `undefined` where the key is absent. */
  optionalNumber(key: string): number | undefined {
    return this.#optional(key, "a number", asNumber);
  }

  /** A string. */
  string(key: string): string {
    return this.#required(key, "a string", asString);
  }

  /** As {@linkcode string}, `undefined` where the key is absent. */
  optionalString(key: string): string | undefined {
    return this.#optional(key, "a string", asString);
  }

  /** A boolean. */
  boolean(key: string): boolean {
    return this.#required(key, "a boolean", asBoolean);
  }

  /** As {@linkcode boolean}, `undefined` where the key is absent. */
  optionalBoolean(key: string): boolean | undefined {
    return this.#optional(key, "a boolean", asBoolean);
  }

  /** An array of strings. */
  strings(key: string): string[] {
    return this.#required(
      key,
      "an array of strings",
      (value) => toArray(value, asString),
    );
  }

  /** As {@linkcode strings}, `undefined` where the key is absent. */
  optionalStrings(key: string): string[] | undefined {
    return this.#optional(
      key,
      "an array of strings",
      (value) => toArray(value, asString),
    );
  }

  /** An array of numbers, which may be infinite or NaN. */
  numbers(key: string): number[] {
    return this.#required(
      key,
      "an array of numbers",
      (value) => toArray(value, toNumber),
    );
  }

  /** As {@linkcode numbers}, `undefined` where the key is absent. */
  optionalNumbers(key: string): number[] | undefined {
    return this.#optional(
      key,
      "an array of numbers",
      (value) => toArray(value, toNumber),
    );
  }

  /** An array of booleans. */
  booleans(key: string): boolean[] {
    return this.#required(
      key,
      "an array of booleans",
      (value) => toArray(value, asBoolean),
    );
  }

  /** As {@linkcode booleans}, `undefined` where the key is absent. */
  optionalBooleans(key: string): boolean[] | undefined {
    return this.#optional(
      key,
      "an array of booleans",
      (value) => toArray(value, asBoolean),
    );
  }

  #optional<T>(
    key: string,
    wanted: string,
    convert: (value: MetadataValue) => T | undefined,
  ): T | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const converted = convert(value);
    if (converted === undefined) {
      throw new WeightFileError(
        this.#path,
        `metadata key "${key}" must be ${wanted}, found ${describe(value)}`,
      );
    }
    return converted;
  }

  #required<T>(
    key: string,
    wanted: string,
    convert: (value: MetadataValue) => T | undefined,
  ): T {
    const value = this.#optional(key, wanted, convert);
    if (value === undefined) {
      throw new WeightFileError(
        this.#path,
        `metadata key "${key}" must be ${wanted}, found nothing`,
      );
    }
    return value;
  }
}
