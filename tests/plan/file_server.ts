/** A server of one file, which counts what it sends and can misbehave. @module */

/** How the server answers. */
export interface FileServerOptions {
  /** Sends the file from its start, whatever the range, as status 200. */
  readonly ignoresRange?: boolean;
  /** After that goes on for ever. */
  readonly endless?: boolean;
  /** Sends this as `content-range`, for the range asked for. */
  readonly contentRange?: (start: number, end: number, total: number) => string;
  /** Sends this many bytes of each range. */
  readonly sends?: (length: number) => number;
  /** Never answers. */
  readonly silent?: boolean;
}

/** A running server. */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
  /** Bytes handed to the network. */
  sent: number;
  readonly requests: { path: string; range: string | null }[];
}

const PIECE = 16 * 1024;

/** Serves `file` at every path of 127.0.0.1. */
export function serveFile(
  file: Uint8Array<ArrayBuffer>,
  options: FileServerOptions = {},
): FileServer {
  const stop = new AbortController();
  const handler = async (request: Request): Promise<Response> => {
    const range = request.headers.get("range");
    state.requests.push({ path: new URL(request.url).pathname, range });
    if (options.silent) {
      await new Promise((done) => stop.signal.addEventListener("abort", done));
    }
    const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
    if (match === null || options.ignoresRange) {
      return new Response(pieces(file, options.endless ?? false));
    }
    const [start, end] = [
      Number(match[1]),
      Math.min(Number(match[2]) + 1, file.length),
    ];
    const length = options.sends?.(end - start) ?? end - start;
    const body = new Uint8Array(length);
    body.set(file.subarray(start, Math.min(end, start + length)));
    const contentRange = options.contentRange?.(start, end, file.length) ??
      `bytes ${start}-${end - 1}/${file.length}`;
    const headers = { "content-range": contentRange };
    return new Response(pieces(body, false), { status: 206, headers });
  };
  function pieces(bytes: Uint8Array, endless: boolean): ReadableStream {
    let at = 0;
    return new ReadableStream({
      pull(controller) {
        if (at >= bytes.length && endless) at = 0;
        if (at >= bytes.length) return controller.close();
        const piece = bytes.slice(at, at + PIECE);
        at += piece.length;
        state.sent += piece.length;
        controller.enqueue(piece);
      },
    });
  }
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    handler,
  );
  const state: FileServer = {
    url: `http://127.0.0.1:${server.addr.port}`,
    sent: 0,
    requests: [],
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await server.shutdown();
    },
  };
  return state;
}
