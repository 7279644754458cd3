/**
 * The check of a GGUF header that comes before anything is built from it, and the text in it.
 *
 * `@huggingface/gguf` (0.4.6) reads past the end of a short file as zeros and names no key in its
 * errors, so this walk makes sure, first, that every count and length lies within the file.
 * It takes the text out as well: the library reads a value anew for each 2 MB that it turns out to
 * span (5 s for the 10 MB of a large vocabulary), cuts the last string of such a value short, and
 * drops a byte-order mark, which is a token of some vocabularies. It gets the header without text.
 *
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
 *
 * @module
 */
import { WeightFileError } from "./weight_file_error.ts";

/** The most bytes that a header may take; the largest vocabularies need about half of it. */
export const MAX_HEADER_BYTES = 32_000_000;

const MAX_KEYS = 100_000;
const MAX_TENSORS = 100_000;
const MAX_NAME_BYTES = 65_535;
const MAX_ARRAY_LENGTH = 1_000_000;
const MAX_DIMENSIONS = 4;

const TYPE_STRING = 8;
const TYPE_ARRAY = 9;
/** Bytes of each value type; 0 for the two whose size depends on what follows. */
const VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** A tensor as the header states it, unchecked but for being there. */
export interface TensorEntry {
  readonly name: string;
  /** Outermost first. A dimension that is too large to be exact is still larger than any file. */
  readonly shape: number[];
  readonly typeId: number;
  /** Bytes from the start of the tensor data. */
  readonly offset: number;
}

/** What the walk found. */
export interface HeaderOutline {
  /** Bytes from the file's start to the end of the last tensor's entry. */
  readonly byteLength: number;
  readonly keys: ReadonlySet<string>;
  /** The value of every key that holds text. */
  readonly texts: ReadonlyMap<string, string | readonly string[]>;
  /** The header with all the values in `texts` emptied. */
  readonly withoutText: Uint8Array<ArrayBuffer>;
  readonly tensors: readonly TensorEntry[];
}

/** An open file to walk, or its beginning. */
export interface HeaderSource {
  readonly path: string;
  readonly file: Pick<Deno.FsFile, "seekSync" | "readSync">;
  /** The file's size in bytes. */
  readonly size: number;
}

/**
 * Walks the header of a GGUF file.
 *
 * @throws {WeightFileError} The header is damaged, too large, or of an unsupported kind.
 */
export function outlineHeader(source: HeaderSource): HeaderOutline {
  return new HeaderWalk(source).outline();
}

class HeaderWalk {
  readonly #source: HeaderSource;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #texts = new Map<string, string | readonly string[]>();
  /** Where text lies, in order: each range comes after 8 bytes of length. */
  readonly #textRanges: { start: number; end: number }[] = [];
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  /** What is being read, for errors. */
  #culprit = "header";

  constructor(source: HeaderSource) {
    this.#source = source;
  }

  outline(): HeaderOutline {
    this.#checkVersion();
    const tensorCount = this.#count("tensor count", MAX_TENSORS, 24);
    const keyCount = this.#count("metadata key count", MAX_KEYS, 13);
    const keys = new Set<string>();
    for (let i = 0; i < keyCount; i++) keys.add(this.#keyAndValue(i, keys));
    const tensors: TensorEntry[] = [];
    for (let i = 0; i < tensorCount; i++) tensors.push(this.#tensor(i));
    return {
      byteLength: this.#at,
      keys,
      texts: this.#texts,
      withoutText: this.#withoutText(),
      tensors,
    };
  }

  #checkVersion(): void {
    const magic = this.#size >= 4 ? this.#text(this.#skip(4), 4) : "";
    if (magic !== "GGUF") {
      this.#fail(`not a GGUF file: magic is ${JSON.stringify(magic)}`);
    }
    const version = this.#u32();
    if ((version & 0xffff) === 0) {
      this.#fail("big-endian GGUF is not supported");
    }
    if (version !== 2 && version !== 3) {
      this.#fail(
        `GGUF version ${version} is not supported, versions 2 and 3 are`,
      );
    }
  }

  #keyAndValue(index: number, seen: ReadonlySet<string>): string {
    this.#culprit = `metadata key number ${index}`;
    const key = this.#name();
    this.#culprit = `metadata key "${key}"`;
    if (key === "__proto__") this.#fail("the name is not allowed");
    if (seen.has(key)) this.#fail("stated twice");
    const type = this.#u32();
    const bytes = VALUE_BYTES[type];
    if (bytes === undefined) this.#fail(`unknown value type ${type}`);
    if (type === TYPE_STRING) this.#takeText(key, () => this.#string());
    else if (type === TYPE_ARRAY) this.#array(key);
    else this.#skip(bytes);
    return key;
  }

  #array(key: string): void {
    const type = this.#u32();
    const bytes = VALUE_BYTES[type];
    if (bytes === undefined) this.#fail(`unknown array element type ${type}`);
    // As in llama.cpp.
    if (type === TYPE_ARRAY) this.#fail("arrays of arrays are not supported");
    if (type === TYPE_STRING) {
      this.#takeText(key, () => this.#strings());
    } else {
      const length = this.#count("array length", MAX_ARRAY_LENGTH, bytes);
      this.#skip(length * bytes);
    }
  }

  /** Reads a value that starts with its length, and marks what follows as text. */
  #takeText(key: string, read: () => string | readonly string[]): void {
    const start = this.#at + 8;
    this.#texts.set(key, read());
    this.#textRanges.push({ start, end: this.#at });
  }

  #strings(): string[] {
    const length = this.#count("array length", MAX_ARRAY_LENGTH, 8);
    const strings: string[] = [];
    for (let i = 0; i < length; i++) strings.push(this.#string());
    return strings;
  }

  #string(): string {
    const length = this.#count("string length", MAX_HEADER_BYTES, 1);
    return this.#text(this.#skip(length), length);
  }

  #withoutText(): Uint8Array<ArrayBuffer> {
    const removed = this.#textRanges.reduce(
      (sum, { start, end }) => sum + end - start,
      0,
    );
    const out = new Uint8Array(this.#at - removed);
    let from = 0;
    let to = 0;
    for (const { start, end } of this.#textRanges) {
      out.set(this.#bytes.subarray(from, start - 8), to);
      // The length's 8 bytes stay zero.
      to += start - from;
      from = end;
    }
    out.set(this.#bytes.subarray(from, this.#at), to);
    return out;
  }

  #tensor(index: number): TensorEntry {
    this.#culprit = `tensor number ${index}`;
    const name = this.#name();
    this.#culprit = `tensor "${name}"`;
    const dimensions = this.#u32();
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      this.#fail(
        `must have 1 to ${MAX_DIMENSIONS} dimensions, has ${dimensions}`,
      );
    }
    const shape: number[] = [];
    for (let i = 0; i < dimensions; i++) shape.unshift(this.#dimension());
    return { name, shape, typeId: this.#u32(), offset: this.#u64() };
  }

  #dimension(): number {
    const value = this.#u64();
    // Even at one bit a weight, a larger one could not be in the file.
    if (value < 1 || value > this.#size * 8) {
      this.#fail(
        `a dimension of ${value} is not possible in a file of ${this.#size} bytes`,
      );
    }
    return value;
  }

  #name(): string {
    const length = this.#count("name length", MAX_NAME_BYTES, 1);
    return this.#text(this.#skip(length), length);
  }

  /** Reads a count of things that take at least `bytesEach` bytes of what follows. */
  #count(what: string, limit: number, bytesEach: number): number {
    const count = this.#u64();
    if (count > limit) {
      this.#fail(`${what} ${count} is more than the ${limit} supported`);
    }
    if (count * bytesEach > this.#size - this.#at) {
      this.#fail(
        `${what} ${count} runs past the file's end at ${this.#size} bytes`,
      );
    }
    return count;
  }

  #u32(): number {
    const start = this.#skip(4);
    return this.#view.getUint32(start, true);
  }

  /** Exact up to 2^53, which is past every limit that it is checked against. */
  #u64(): number {
    const start = this.#skip(8);
    return this.#view.getUint32(start, true) +
      this.#view.getUint32(start + 4, true) * 2 ** 32;
  }

  #text(start: number, length: number): string {
    return this.#decoder.decode(this.#bytes.subarray(start, start + length));
  }

  /** Moves past `length` bytes, which are then in memory, and gives where they start. */
  #skip(length: number): number {
    const start = this.#at;
    const end = start + length;
    if (end > this.#size) {
      this.#fail(`runs past the file's end at ${this.#size} bytes`);
    }
    if (end > MAX_HEADER_BYTES) {
      this.#fail(
        `the header is larger than the ${MAX_HEADER_BYTES} bytes supported`,
      );
    }
    if (end > this.#bytes.length) this.#load(end);
    this.#at = end;
    return start;
  }

  #load(end: number): void {
    const target = Math.min(
      this.#size,
      MAX_HEADER_BYTES,
      Math.max(end, this.#bytes.length * 2, 1 << 20),
    );
    const grown = new Uint8Array(target);
    grown.set(this.#bytes);
    this.#source.file.seekSync(this.#bytes.length, Deno.SeekMode.Start);
    for (let at = this.#bytes.length; at < target;) {
      const read = this.#source.file.readSync(grown.subarray(at));
      if (read === null) this.#fail("the file shrank while it was read");
      at += read;
    }
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  get #size(): number {
    return this.#source.size;
  }

  #fail(reason: string): never {
    throw new WeightFileError(this.#source.path, `${this.#culprit}: ${reason}`);
  }
}
