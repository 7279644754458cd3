/**
 * Model files from the Hugging Face hub, continued where an earlier fetch was cut.
 *
 * @module
 */
import type { HubFile, ModelFile } from "./model_file.ts";
import type { Fetched, FetchOptions, ModelSource } from "./model_source.ts";
import { isDiskFull, sizeOf, writePart } from "./part_file.ts";

type Fetch = typeof fetch;

/** Options of {@linkcode hubSource}. */
export interface HubSourceOptions {
  /** The hub's address, if not the public one. */
  hubUrl?: string | undefined;
  /** A token for private repositories. */
  accessToken?: string | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: Fetch | undefined;
  /** How long a request may wait for its response's first bytes. Default: 10,000 ms. */
  responseTimeoutMs?: number | undefined;
  /** How long a download may pause. Default: 60,000 ms. */
  stallTimeoutMs?: number | undefined;
}

interface Download {
  model: ModelFile;
  destination: string;
  options: FetchOptions;
}

const NAME = "the Hugging Face hub";

/** The Hugging Face hub as a source of model files. */
export function hubSource(options: HubSourceOptions = {}): ModelSource {
  return {
    name: NAME,
    fetch: (model, destination, fetchOptions = {}) =>
      download({ model, destination, options: fetchOptions }, options),
  };
}

/** Attempts go on for as long as each one brings bytes. */
async function download(
  job: Download,
  hub: HubSourceOptions,
): Promise<Fetched> {
  for (;;) {
    const before = await sizeOf(job.destination);
    try {
      return await attempt(job, hub);
    } catch (error) {
      job.options.signal?.throwIfAborted();
      if ((await sizeOf(job.destination)) <= before || isDiskFull(error)) {
        throw error;
      }
    }
  }
}

async function attempt(job: Download, hub: HubSourceOptions): Promise<Fetched> {
  // Loaded here, since a start with the file present needs none of it.
  const { downloadFile, fileDownloadInfo } = await import("@huggingface/hub");
  const aborter = new AbortController();
  const { signal, onProgress } = job.options;
  const cancel = () => aborter.abort(signal?.reason);
  signal?.addEventListener("abort", cancel);
  if (signal?.aborted) cancel();
  const watchdog = stallTimer(aborter, hub.stallTimeoutMs ?? 60_000);
  try {
    const params = {
      ...where(job.model.hub),
      fetch: guardedFetch(hub, aborter),
      ...(hub.hubUrl !== undefined && { hubUrl: hub.hubUrl }),
      ...(hub.accessToken !== undefined && { accessToken: hub.accessToken }),
    };
    const downloadInfo = await fileDownloadInfo(params);
    if (downloadInfo === null) throw noSuchFile(job.model.hub);
    const total = downloadInfo.size;
    // Xet's chunks cannot be continued by a plain range of bytes.
    const blob = await downloadFile({ ...params, downloadInfo, xet: false });
    if (blob === null) throw noSuchFile(job.model.hub);
    const held = await sizeOf(job.destination);
    const from = held > total ? 0 : held;
    onProgress?.({ source: NAME, received: from, total });
    if (from < total || total === 0) {
      const stream = blob.slice(from, total).stream();
      const onBytes = (received: number) => {
        watchdog.reset();
        onProgress?.({ source: NAME, received, total });
      };
      watchdog.reset();
      const end = await writePart(job.destination, stream, { from, onBytes });
      if (end < total) {
        throw new Error(`the download ended at ${end} of ${total} bytes`);
      }
    }
    return { sha256: sha256OfEtag(downloadInfo.etag) };
  } catch (error) {
    // The hub library passes some failures on as bare strings.
    throw aborter.signal.aborted
      ? aborter.signal.reason
      : error instanceof Error
      ? error
      : new Error(String(error));
  } finally {
    watchdog.stop();
    signal?.removeEventListener("abort", cancel);
    aborter.abort(); // Frees the responses whose bodies the library leaves unread.
  }
}

function where(file: HubFile) {
  return {
    repo: file.repo,
    path: file.path.split("/").map(encodeURIComponent).join("/"),
    revision: file.revision ?? "main",
  };
}

function noSuchFile(file: HubFile): Error {
  return new Deno.errors.NotFound(
    `${file.repo} has no file ${file.path} at revision ${
      file.revision ?? "main"
    }`,
  );
}

/** Fetches with a limit on the wait for a response; a body is cancelled through `aborter`. */
function guardedFetch(hub: HubSourceOptions, aborter: AbortController): Fetch {
  const { fetch: inner = fetch, responseTimeoutMs = 10_000 } = hub;
  return async (input, init) => {
    const timer = setTimeout(
      () =>
        aborter.abort(
          new Error(`no response within ${responseTimeoutMs / 1000} s`),
        ),
      responseTimeoutMs,
    );
    try {
      const response = await inner(input, { ...init, signal: aborter.signal });
      const range = new Headers(init?.headers).get("range");
      if (range && response.ok && response.status !== 206) {
        throw new Error(`the server does not answer range requests (${range})`);
      }
      return response;
    } finally {
      clearTimeout(timer);
    }
  };
}

function stallTimer(aborter: AbortController, ms: number) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => clearTimeout(timer);
  const reset = () => {
    stop();
    timer = setTimeout(
      () => aborter.abort(new Error(`no data for ${ms / 1000} s`)),
      ms,
    );
  };
  return { reset, stop };
}

/** The etag of a large file is its SHA-256; that of a small one is a git hash, of no use here. */
function sha256OfEtag(etag: string): string | undefined {
  return /^(?:W\/)?"?([0-9a-f]{64})"?$/i.exec(etag)?.[1]?.toLowerCase();
}
