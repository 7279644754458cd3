/**
 * Writes small GGUF files for tests: models with random weights, and files that are wrong on purpose.
 *
 * The writer lays a file out as llama.cpp does (version 3, little-endian, each tensor's data padded
 * to the alignment) and checks nothing: a shape may contradict its data, a name may come twice.
 *
 * @example A file with one matrix
 * ```ts ignore
 * await writeGguf("tiny.gguf", {
 *   metadata: { "general.architecture": "llama", "llama.block_count": 1 },
 *   tensors: [{
 *     name: "output.weight",
 *     shape: [4, 32],
 *     type: "Q4_1",
 *     data: randomBlocks("Q4_1", 4 * 32, { random }),
 *   }],
 * });
 * ```
 *
 * @module
 */
import { GGML_TYPES, type GgmlTypeName } from "../../lib/weights/ggml_types.ts";

/** The value types of GGUF metadata, in the order of their numbers. */
const VALUE_TYPES = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;

/** The name of a metadata value type. */
export type GgufValueType = typeof VALUE_TYPES[number];

/**
 * A metadata value. The type follows from the value: a whole number is `u32` (`i32` if negative),
 * another `f32`, a `bigint` `u64`; an array takes the type that fits all its elements (whole numbers
 * `i32`). `{ type, value }` states the type; for an array, `type` is the elements'.
 */
export type GgufValue =
  | string
  | number
  | bigint
  | boolean
  | readonly GgufValue[]
  | { readonly type: GgufValueType; readonly value: GgufValue };

/** A tensor to write. */
export interface GgufTensorSpec {
  readonly name: string;
  /** Outermost first, as in `TensorInfo`; the file gets the reverse. */
  readonly shape: readonly (number | bigint)[];
  /** A supported type, or any number. */
  readonly type: GgmlTypeName | number;
  readonly data: Uint8Array;
  /** Where the header says that the data starts, in place of where it does. */
  readonly offset?: number | bigint;
}

/** A file to write. */
export interface GgufSpec {
  readonly metadata?: Readonly<Record<string, GgufValue>>;
  readonly tensors?: readonly GgufTensorSpec[];
  /** What the data is laid out by, 32 by default; for another, state `general.alignment` too. */
  readonly alignment?: number;
}

/** Writes a GGUF file. */
export async function writeGguf(path: string, spec: GgufSpec): Promise<void> {
  await Deno.writeFile(path, encodeGguf(spec));
}

/** Gives the bytes of a GGUF file. */
export function encodeGguf(
  { metadata = {}, tensors = [], alignment = 32 }: GgufSpec,
): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  out.bytes(new TextEncoder().encode("GGUF"));
  out.integer(3, 4);
  out.integer(tensors.length, 8);
  out.integer(Object.keys(metadata).length, 8);
  for (const [key, value] of Object.entries(metadata)) {
    writeKey(out, key, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    writeTensorEntry(out, tensor, offset);
    offset += Math.ceil(tensor.data.length / alignment) * alignment;
  }
  for (const { data } of tensors) {
    out.pad(alignment);
    out.bytes(data);
  }
  out.pad(alignment);
  return out.finish();
}

/** Gives numbers as the bytes of an F32 tensor. */
export function float32Bytes(
  values: Iterable<number>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Float32Array.from(values).buffer);
}

function writeTensorEntry(
  out: ByteWriter,
  tensor: GgufTensorSpec,
  offset: number,
): void {
  out.string(tensor.name);
  out.integer(tensor.shape.length, 4);
  for (const dimension of tensor.shape.toReversed()) out.integer(dimension, 8);
  out.integer(
    typeof tensor.type === "number" ? tensor.type : GGML_TYPES[tensor.type].id,
    4,
  );
  out.integer(tensor.offset ?? offset, 8);
}

function writeKey(out: ByteWriter, key: string, value: GgufValue): void {
  const { type, raw } = typed(value);
  out.string(key);
  out.integer(VALUE_TYPES.indexOf(Array.isArray(raw) ? "array" : type), 4);
  writeValue(out, type, raw);
}

type RawValue = Exclude<GgufValue, { readonly type: GgufValueType }>;

function typed(value: GgufValue): { type: GgufValueType; raw: RawValue } {
  if (typeof value === "object" && "type" in value) {
    return { type: value.type, raw: value.value as RawValue };
  }
  if (typeof value !== "object") return { type: scalarType(value), raw: value };
  return { type: elementType(value), raw: value };
}

function scalarType(value: string | number | bigint | boolean): GgufValueType {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "u64";
  if (!Number.isInteger(value)) return "f32";
  return value < 0 ? "i32" : "u32";
}

function elementType(values: readonly GgufValue[]): GgufValueType {
  const first = values[0];
  if (typeof first === "object") return "array";
  if (first === undefined || typeof first === "number") {
    return values.every(Number.isInteger) ? "i32" : "f32";
  }
  return scalarType(first);
}

function writeValue(
  out: ByteWriter,
  type: GgufValueType,
  value: RawValue,
): void {
  if (typeof value === "object") {
    out.integer(VALUE_TYPES.indexOf(type), 4);
    out.integer(value.length, 8);
    for (const item of value as readonly RawValue[]) {
      if (type === "array") {
        const inner = typed(item);
        writeValue(out, inner.type, inner.raw);
      } else writeValue(out, type, item);
    }
  } else if (typeof value === "string") out.string(value);
  else if (type === "f32") out.bytes(float32Bytes([Number(value)]));
  else if (type === "f64") {
    out.bytes(new Uint8Array(Float64Array.of(Number(value)).buffer));
  } else {
    const width = type === "bool" ? 1 : Number(type.slice(1)) / 8;
    out.integer(BigInt(value), width);
  }
}

class ByteWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  bytes(bytes: Uint8Array): void {
    const end = this.#length + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = end;
  }

  /** Writes an integer in `width` bytes, two's complement. */
  integer(value: number | bigint, width: number): void {
    const eight = new Uint8Array(8);
    new DataView(eight.buffer).setBigInt64(
      0,
      BigInt.asIntN(64, BigInt(value)),
      true,
    );
    this.bytes(eight.subarray(0, width));
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.integer(bytes.length, 8);
    this.bytes(bytes);
  }

  pad(alignment: number): void {
    this.bytes(
      new Uint8Array((alignment - this.#length % alignment) % alignment),
    );
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}
