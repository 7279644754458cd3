/** What is seen of a server from outside: its memory, its queue and its slots. @module */
import { parseMetrics, type ServerState, serverState } from "./metrics_text.ts";

/** The server at one moment. */
export interface SoakSample extends ServerState {
  /** Seconds since the soak began. */
  readonly seconds: number;
  /** Bytes of its process in memory. */
  readonly rss: number;
  /** Milliseconds that `GET /health` took. */
  readonly healthMs: number;
}

/** Where to look. */
export interface Watched {
  readonly url: string;
  readonly pid: number;
}

/**
 * Looks at a server.
 *
 * @param start when the soak began, by `performance.now()`
 * @throws {Error} if its process is gone, or `/health` or `/metrics` is no answer.
 */
export async function takeSample(
  { url, pid }: Watched,
  start: number,
): Promise<SoakSample> {
  const before = performance.now();
  await read(`${url}/health`);
  const healthMs = performance.now() - before;
  const state = serverState(parseMetrics(await read(`${url}/metrics`)));
  return {
    seconds: (before - start) / 1000,
    rss: residentBytes(await Deno.readTextFile(`/proc/${pid}/status`)),
    healthMs,
    ...state,
  };
}

/**
 * Bytes of a process in memory, by its `/proc/PID/status`.
 *
 * @throws {SyntaxError} if the file does not say, as that of a process that has ended.
 */
export function residentBytes(status: string): number {
  const kibibytes = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes === undefined) {
    throw new SyntaxError("Cannot find VmRSS: the process has ended");
  }
  return Number(kibibytes) * 1024;
}

async function read(url: string): Promise<string> {
  const response = await fetch(url);
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(
    `Cannot watch the server: GET ${
      new URL(url).pathname
    } answered ${response.status}`,
  );
}
