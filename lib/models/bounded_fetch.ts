/**
 * Fetching small parts of what may be large: whatever a server sends, no more is read than was
 * asked for.
 *
 * @module
 */

/** Options of {@linkcode fetchRange} and {@linkcode fetchUpTo}. */
export interface BoundedFetchOptions {
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /** How long a request may take, its body included. Default: 60,000 ms. */
  readonly timeoutMs?: number | undefined;
}

/** Bytes of a file, and how many it has. */
export interface FileRange {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly total: number;
}

/**
 * Fetches the bytes of a file from `start` up to `end`, fewer if it ends before. A server that does
 * not answer range requests is refused before its answer is read.
 *
 * @throws {Error} if there is no such file or range, or the answer is not what was asked for
 */
export async function fetchRange(
  url: string,
  { start, end }: { start: number; end: number },
  options: BoundedFetchOptions = {},
): Promise<FileRange> {
  const headers = {
    range: `bytes=${start}-${end - 1}`,
    "accept-encoding": "identity",
  };
  return await fetched(url, { headers, ...options }, async (response) => {
    if (response.status !== 206) {
      throw new Error(
        `the server does not answer range requests (it says ${response.status})`,
      );
    }
    const total = rangeTotal(response, { start, end });
    const length = Math.min(end, total) - start;
    const bytes = await bytesUpTo(response, length);
    if (bytes.length < length) {
      throw new Error(`the answer ended at ${bytes.length} of ${length} bytes`);
    }
    return { bytes, total };
  });
}

/**
 * Fetches a whole file.
 *
 * @param most bytes that it may have
 * @throws {Error} if there is no such file, or it is larger
 */
export async function fetchUpTo(
  url: string,
  most: number,
  options: BoundedFetchOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return await fetched(url, options, (response) => bytesUpTo(response, most));
}

/** Lets `read` have the answer; what it leaves of the body is cancelled. */
async function fetched<T>(
  url: string,
  { fetch: inner = fetch, timeoutMs = 60_000, headers = {} }:
    & BoundedFetchOptions
    & { headers?: Record<string, string> },
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const aborter = new AbortController();
  const timer = setTimeout(
    () => aborter.abort(new Error(`no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  try {
    const { signal } = aborter;
    const response = await inner(url, { headers, signal });
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    return await read(response);
  } catch (error) {
    const { message, cause } = error as Error;
    const reason = cause instanceof Error
      ? `${message}: ${cause.message}`
      : message;
    throw new Error(`Cannot fetch ${url}: ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
    aborter.abort();
  }
}

/** The file's size, by the answer's `content-range`, which has to be the range asked for. */
function rangeTotal(
  { headers }: Response,
  { start, end }: { start: number; end: number },
): number {
  const given = headers.get("content-range") ?? "";
  const [, first, last, total] =
    /^bytes (\d+)-(\d+)\/(\d+)$/.exec(given)?.map(Number) ?? [];
  if (
    total === undefined || !Number.isSafeInteger(total) || first !== start ||
    last !== Math.min(end, total) - 1
  ) {
    throw new Error(
      `bytes ${start}-${end - 1} were asked for, and the answer's range is ${
        JSON.stringify(given)
      }`,
    );
  }
  return total;
}

async function bytesUpTo(
  { body }: Response,
  most: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  // Leaving the loop cancels the body.
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > most) throw new Error(`the answer is over ${most} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
