/**
 * One entry of a zip file (which a Python wheel is), as a stream.
 *
 * @module
 */
import type { Entry, FileEntry } from "@zip.js/zip.js";

/**
 * Opens the zip at `path` and hands the entry named `name` to `use`, as a stream of its unpacked
 * bytes with their number.
 *
 * @throws {Error} If the zip has no such entry, or is damaged.
 */
export async function withZipEntry<T>(
  path: string,
  name: string,
  use: (stream: ReadableStream<Uint8Array>, bytes: number) => Promise<T>,
): Promise<T> {
  const { Reader, ZipReader } = await import("@zip.js/zip.js");
  using file = await Deno.open(path);
  const { size } = await file.stat();
  /** Random access to the open file. */
  class FileReader extends Reader<Deno.FsFile> {
    override init() {
      this.size = size;
      return Promise.resolve();
    }
    override async readUint8Array(offset: number, length: number) {
      await file.seek(offset, Deno.SeekMode.Start);
      const bytes = new Uint8Array(Math.min(length, size - offset));
      let filled = 0;
      while (filled < bytes.length) {
        const read = await file.read(bytes.subarray(filled));
        if (read === null) break;
        filled += read;
      }
      return bytes.subarray(0, filled);
    }
  }
  const zip = new ZipReader(new FileReader(file), { useWebWorkers: false });
  const entry = await findEntry(zip.getEntriesGenerator(), name);
  if (!entry) {
    throw new Error(`Cannot extract from ${path}: it has no entry ${name}`);
  }
  let fail: (error: unknown) => void = () => {};
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => fail = (error) => controller.error(error),
  });
  const unpacked = entry.getData(writable, {
    checkSignature: true,
    useWebWorkers: false,
  }).catch((error) => {
    fail(error); // Else `use` could wait for ever.
    throw error;
  });
  const used = use(readable, entry.uncompressedSize);
  // Both end before the file is closed; the failure of `use` is the one that tells more.
  await Promise.allSettled([unpacked, used]);
  const result = await used;
  await unpacked;
  return result;
}

async function findEntry(
  entries: AsyncIterable<Entry>,
  name: string,
): Promise<FileEntry | undefined> {
  for await (const entry of entries) {
    if (entry.filename === name && !entry.directory) return entry;
  }
}
