/**
 * Trees of typed arrays as bytes: a versioned header in JSON that says what lies where, then the
 * arrays one after the other. What the trees are of is their makers' business.
 *
 * @module
 */

/** A tree: JSON, with typed arrays and buffers among its leaves. */
export type Tree =
  | null
  | boolean
  | number
  | string
  | ArrayBuffer
  | TypedArray
  | readonly Tree[]
  | { readonly [name: string]: Tree };

type TypedArray = InstanceType<typeof TYPES[TypeName]>;

/** Kinds of leaves; their names are in the header. */
const TYPES = {
  i8: Int8Array,
  u8: Uint8Array,
  u8c: Uint8ClampedArray,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
} as const;

type TypeName = keyof typeof TYPES;

/** A leaf in the header: its type (`buffer`, too), and where its bytes lie. */
interface Leaf {
  readonly $: readonly [TypeName | "buffer", number, number];
}

const MAGIC = 0x45565452; // "EVTR"
const VERSION = 1;
/** Bytes of magic, version, the header's length and nothing. */
const PREFIX = 16;
/** Each array begins at a multiple of this, which every type's size divides. */
const ALIGNMENT = 8;

/**
 * Writes a tree. Numbers' bytes are in this machine's order, as the cache's own are.
 *
 * @throws {TypeError} for a value that is no tree
 *
 * @example There and back
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeTree, encodeTree } from "./tree_bytes.ts";
 *
 * const tree = { rows: 2, columns: [Float32Array.of(1, 2), Uint8Array.of(3)] };
 * assertEquals(decodeTree(encodeTree(tree)), tree);
 * ```
 */
export function encodeTree(tree: Tree): Uint8Array<ArrayBuffer> {
  const parts: { at: number; bytes: Uint8Array }[] = [];
  let end = 0;
  const put = (type: Leaf["$"][0], bytes: Uint8Array): Leaf => {
    parts.push({ at: end, bytes });
    const leaf: Leaf = { $: [type, end, bytes.byteLength] };
    end = aligned(end + bytes.byteLength);
    return leaf;
  };
  const described = JSON.stringify(describe(tree, put));
  const header = new TextEncoder().encode(described);
  const start = aligned(PREFIX + header.length);
  const all = new Uint8Array(start + end);
  new Uint32Array(all.buffer, 0, 3).set([MAGIC, VERSION, header.length]);
  all.set(header, PREFIX);
  for (const { at, bytes } of parts) all.set(bytes, start + at);
  return all;
}

/**
 * Reads what {@linkcode encodeTree} wrote. Arrays are copies of their own.
 *
 * @throws {RangeError} if the bytes are of another version, or not whole
 */
export function decodeTree(bytes: Uint8Array): Tree {
  const own = bytes.byteOffset % ALIGNMENT === 0 ? bytes : bytes.slice();
  if (own.length < PREFIX) {
    throw new RangeError("Cannot read a tree: too short");
  }
  const [magic, version, length] = new Uint32Array(
    own.buffer,
    own.byteOffset,
    3,
  );
  if (magic !== MAGIC || version !== VERSION) {
    throw new RangeError(
      `Cannot read a tree of version ${version}: this one reads ${VERSION}`,
    );
  }
  const start = aligned(PREFIX + length!);
  if (start > own.length) throw new RangeError("Cannot read a tree: cut off");
  const header = own.subarray(PREFIX, PREFIX + length!);
  const body = own.subarray(start);
  return restore(JSON.parse(new TextDecoder().decode(header)), body);
}

function describe(
  value: Tree,
  put: (type: Leaf["$"][0], bytes: Uint8Array) => Leaf,
): unknown {
  if (value instanceof ArrayBuffer) return put("buffer", new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return put(typeOf(value), new Uint8Array(buffer, byteOffset, byteLength));
  }
  if (Array.isArray(value)) return value.map((item) => describe(item, put));
  if (typeof value === "object" && value !== null) {
    if ("$" in value) throw new TypeError("Cannot write a tree with a key $");
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, describe(item, put)]),
    );
  }
  if (["boolean", "number", "string"].includes(typeof value)) return value;
  if (value === null) return null;
  throw new TypeError(`Cannot write ${typeof value} as part of a tree`);
}

function restore(value: unknown, body: Uint8Array): Tree {
  if (Array.isArray(value)) return value.map((item) => restore(item, body));
  if (typeof value !== "object" || value === null) return value as Tree;
  if ("$" in value) return restoreLeaf(value as Leaf, body);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, restore(item, body)]),
  );
}

function restoreLeaf({ $: [type, at, length] }: Leaf, body: Uint8Array): Tree {
  if (at + length > body.length) {
    throw new RangeError("Cannot read a tree: an array is cut off");
  }
  const { buffer } = body.slice(at, at + length);
  if (type === "buffer") return buffer as ArrayBuffer;
  if (!Object.hasOwn(TYPES, type)) {
    throw new RangeError(`Cannot read an array of ${type}`);
  }
  return new TYPES[type](buffer as ArrayBuffer);
}

function typeOf(value: ArrayBufferView): TypeName {
  for (const [name, type] of Object.entries(TYPES)) {
    if (value instanceof type) return name as TypeName;
  }
  throw new TypeError(`Cannot write a ${value.constructor.name}`);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
