/**
 * Writing a stream to a part file, and telling a full disk from other failures.
 *
 * @module
 */

/** Options of {@linkcode writePart}. */
export interface WritePartOptions {
  /** Where the stream's first byte belongs; what the file holds after it is dropped. Default: 0. */
  from?: number;
  /** Called after each write with the bytes that the file holds. */
  onBytes?: (held: number) => void;
}

/** Writes `stream` to the file at `path` from `options.from` on; returns the file's size. */
export async function writePart(
  path: string,
  stream: ReadableStream<Uint8Array>,
  options: WritePartOptions = {},
): Promise<number> {
  const { from = 0, onBytes } = options;
  using file = await Deno.open(path, { write: true, create: true });
  if ((await file.stat()).size > from) await file.truncate(from);
  await file.seek(from, Deno.SeekMode.Start);
  let held = from;
  for await (const chunk of stream) {
    for (let done = 0; done < chunk.length;) {
      done += await file.write(chunk.subarray(done));
    }
    held += chunk.length;
    onBytes?.(held);
  }
  await file.syncData();
  return held;
}

/** The size of the file at `path`; 0 if there is none. */
export async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Removes the file or directory at `path`, if there is one. */
export async function removeIfPresent(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Whether a failure says that the disk is full (or a quota used up), ours or a subprocess's. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return code === "ENOSPC" || code === "EDQUOT" ||
    /no space left on device|not enough space on the disk|os error 112\b/i
      .test(error.message);
}
