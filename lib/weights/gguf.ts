/**
 * GGUF files: metadata at once, tensors from the file when asked for.
 *
 * The metadata's numbers come from `@huggingface/gguf`, its text from the walk that checks the header
 * first; what may be hostile (counts, sizes, offsets, types) is checked against the file before use.
 *
 * @module
 */
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import {
  GGML_TYPE_NAMES,
  GGML_TYPES,
  ggmlBytes,
  type GgmlTypeName,
  ggmlTypeName,
} from "./ggml_types.ts";
import {
  type HeaderOutline,
  type HeaderSource,
  outlineHeader,
  type TensorEntry,
} from "./gguf_header.ts";
import { Metadata, type MetadataValue } from "./metadata.ts";
import { WeightFileError } from "./weight_file_error.ts";

const DEFAULT_ALIGNMENT = 32;

/** A tensor that a weight file holds. */
export interface TensorInfo {
  readonly name: string;
  /** Outermost dimension first: a matrix is `[rows, cols]`. GGUF stores the reverse. */
  readonly shape: readonly number[];
  readonly type: GgmlTypeName;
  /** Bytes in the file. */
  readonly bytes: number;
}

/** An open GGUF file; dispose of it to close it. */
export interface GgufFile extends Disposable {
  readonly path: string;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Reads a tensor's bytes as they are in the file.
   *
   * @throws {WeightFileError} The file has no such tensor, or was cut since it was opened.
   */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Reads `rowCount` rows from `firstRow`. A row runs along the last dimension; the dimensions
   * before it are flattened, so that a tensor of shape `[n]` has one row.
   *
   * @throws {RangeError} The tensor does not have these rows.
   * @throws {WeightFileError} As {@linkcode read}.
   */
  readRows(
    name: string,
    firstRow: number,
    rowCount: number,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

interface PlacedTensor extends TensorInfo {
  /** Where the data starts, in bytes from the start of the file. */
  readonly start: number;
}

/**
 * Opens a GGUF file: one file, little-endian, versions 2 and 3, tensors of the types in
 * {@linkcode GGML_TYPES}.
 *
 * @example Reading one tensor
 * ```ts ignore
 * using file = await openGguf("model.gguf");
 * const layers = file.metadata.number("llama.block_count");
 * const norm = dequantize("F32", await file.read("output_norm.weight"), 576);
 * ```
 *
 * @throws {WeightFileError} The file cannot be read, is damaged, or is of an unsupported kind.
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const { file, size } = await openRegularFile(path);
  try {
    const { header, metadata } = await readHeader({ path, file, size });
    if ((metadata.optionalNumber("split.count") ?? 1) > 1) {
      throw new WeightFileError(
        path,
        'metadata key "split.count": split files are not supported, merge them with llama-gguf-split',
      );
    }
    const tensors = placeTensors(header, {
      path,
      size,
      alignment: readAlignment(path, metadata),
    });
    return new OpenGgufFile(path, { file, metadata, tensors });
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * The metadata of a GGUF file, whatever tensors it has: reads its header alone.
 *
 * @throws {WeightFileError} The file cannot be read, or its header is damaged.
 */
export async function readGgufMetadata(path: string): Promise<Metadata> {
  const { file, size } = await openRegularFile(path);
  using _ = file;
  return (await readHeader({ path, file, size })).metadata;
}

/**
 * Walks a header and reads its metadata.
 *
 * @throws {WeightFileError} It is damaged, too large, or of an unsupported kind.
 */
export async function readHeader(
  source: HeaderSource,
): Promise<{ header: HeaderOutline; metadata: Metadata }> {
  const header = outlineHeader(source);
  const values = await readMetadata(source.path, header);
  return { header, metadata: new Metadata(source.path, values) };
}

async function openRegularFile(
  path: string,
): Promise<{ file: Deno.FsFile; size: number }> {
  try {
    // Before it is opened: to open a pipe would wait for its writer.
    const found = await Deno.stat(path);
    if (!found.isFile) throw new WeightFileError(path, "not a regular file");
    const file = await Deno.open(path);
    return { file, size: (await file.stat()).size };
  } catch (error) {
    if (error instanceof WeightFileError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new WeightFileError(path, `cannot be opened: ${reason}`, {
      cause: error,
    });
  }
}

async function readMetadata(
  path: string,
  header: HeaderOutline,
): Promise<Map<string, MetadataValue>> {
  const values = new Map<string, MetadataValue>();
  const parsed = await parseHeader(path, header.withoutText);
  for (const key of header.keys) {
    values.set(key, header.texts.get(key) ?? parsed[key]!);
  }
  return values;
}

async function parseHeader(
  path: string,
  header: Uint8Array<ArrayBuffer>,
): Promise<Record<string, MetadataValue>> {
  function serveRange(_url: unknown, init?: RequestInit): Promise<Response> {
    const range = /^bytes=(\d+)-(\d+)$/.exec(
      new Headers(init?.headers).get("range") ?? "",
    );
    if (range === null) {
      throw new TypeError("Cannot serve a request without a byte range");
    }
    return Promise.resolve(
      new Response(header.slice(Number(range[1]), Number(range[2]) + 1)),
    );
  }
  try {
    const { metadata } = await gguf("http://file.invalid/", {
      fetch: serveRange,
    });
    return metadata as unknown as Record<string, MetadataValue>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new WeightFileError(path, `header: ${reason}`, { cause: error });
  }
}

function readAlignment(path: string, metadata: Metadata): number {
  const alignment = metadata.optionalNumber("general.alignment") ??
    DEFAULT_ALIGNMENT;
  if (
    !Number.isInteger(Math.log2(alignment)) || alignment < 1 ||
    alignment > 2 ** 31
  ) {
    throw new WeightFileError(
      path,
      `metadata key "general.alignment" must be a power of two, found ${alignment}`,
    );
  }
  return alignment;
}

interface Layout {
  readonly path: string;
  /** The file's size in bytes. */
  readonly size: number;
  readonly alignment: number;
}

function placeTensors(
  header: HeaderOutline,
  layout: Layout,
): Map<string, PlacedTensor> {
  const dataStart = Math.ceil(header.byteLength / layout.alignment) *
    layout.alignment;
  const tensors = new Map<string, PlacedTensor>();
  for (const entry of header.tensors) {
    if (tensors.has(entry.name)) {
      throw new WeightFileError(
        layout.path,
        `tensor "${entry.name}": stated twice`,
      );
    }
    tensors.set(entry.name, placeTensor(entry, dataStart, layout));
  }
  checkOverlap([...tensors.values()], layout.path);
  return tensors;
}

function placeTensor(
  entry: TensorEntry,
  dataStart: number,
  layout: Layout,
): PlacedTensor {
  const { name, shape, offset } = entry;
  function fail(reason: string): never {
    throw new WeightFileError(layout.path, `tensor "${name}": ${reason}`);
  }
  const type = ggmlTypeName(entry.typeId);
  if (type === undefined) {
    const label = GGMLQuantizationType[entry.typeId] ??
      `number ${entry.typeId}`;
    fail(
      `type ${label} is not supported, supported are ${
        GGML_TYPE_NAMES.join(", ")
      }`,
    );
  }
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (!Number.isSafeInteger(count)) {
    fail(`shape [${shape}] has too many weights`);
  }
  const { blockSize } = GGML_TYPES[type];
  if (shape.at(-1)! % blockSize !== 0) {
    fail(
      `shape [${shape}]: rows of ${type} must be a multiple of ${blockSize} long`,
    );
  }
  if (offset % layout.alignment !== 0) {
    fail(
      `offset ${offset} is no multiple of the alignment ${layout.alignment}`,
    );
  }
  const bytes = ggmlBytes(type, count);
  const start = dataStart + offset;
  if (start + bytes > layout.size) {
    fail(
      `its ${bytes} bytes from ${start} run past the file's end at ${layout.size} bytes`,
    );
  }
  return { name, shape, type, bytes, start };
}

function checkOverlap(tensors: PlacedTensor[], path: string): void {
  tensors.sort((a, b) => a.start - b.start);
  for (let i = 1; i < tensors.length; i++) {
    const [before, after] = [tensors[i - 1]!, tensors[i]!];
    if (before.start + before.bytes > after.start) {
      throw new WeightFileError(
        path,
        `tensor "${after.name}": overlaps tensor "${before.name}"`,
      );
    }
  }
}

class OpenGgufFile implements GgufFile {
  readonly path: string;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  readonly #file: Deno.FsFile;
  /** Settles when the last read asked for has: seek and read are two steps on one position. */
  #idle: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    path: string,
    parts: {
      file: Deno.FsFile;
      metadata: Metadata;
      tensors: ReadonlyMap<string, PlacedTensor>;
    },
  ) {
    this.path = path;
    this.#file = parts.file;
    this.metadata = parts.metadata;
    this.tensors = parts.tensors;
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { start, bytes } = this.#tensor(name);
    return await this.#readBytes(name, start, bytes);
  }

  async readRows(
    name: string,
    firstRow: number,
    rowCount: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { start, shape, type } = this.#tensor(name);
    const cols = shape.at(-1)!;
    const rows = shape.slice(0, -1).reduce(
      (product, dimension) => product * dimension,
      1,
    );
    const whole = Number.isInteger(firstRow) && Number.isInteger(rowCount);
    if (!whole || firstRow < 0 || rowCount < 0 || firstRow + rowCount > rows) {
      throw new RangeError(
        `Cannot read ${rowCount} rows from row ${firstRow} of "${name}": it has ${rows} rows`,
      );
    }
    const rowBytes = ggmlBytes(type, cols);
    return await this.#readBytes(
      name,
      start + firstRow * rowBytes,
      rowCount * rowBytes,
    );
  }

  [Symbol.dispose](): void {
    if (!this.#closed) this.#file.close();
    this.#closed = true;
  }

  #tensor(name: string): PlacedTensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) {
      throw new WeightFileError(this.path, `has no tensor "${name}"`);
    }
    return tensor;
  }

  #readBytes(
    name: string,
    start: number,
    length: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const result = this.#idle.then(async () => {
      const bytes = new Uint8Array(length);
      await this.#file.seek(start, Deno.SeekMode.Start);
      for (let at = 0; at < length;) {
        const read = await this.#file.read(bytes.subarray(at));
        if (read === null) {
          throw new WeightFileError(
            this.path,
            `tensor "${name}": cut since the file was opened`,
          );
        }
        at += read;
      }
      return bytes;
    });
    this.#idle = result.catch(() => {});
    return result;
  }
}
