/**
 * What the tests of `lib/models/` share: a small model, a source that fails or works as told, and a
 * local server that stands in for the hub.
 *
 * @module
 */
import { assertStrictEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { ModelFile } from "../../lib/models/model_file.ts";
import type { ModelSource } from "../../lib/models/model_source.ts";

/** The test model's content: no byte pattern repeats at the distances where tests cut it. */
export const content: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 300_000 },
  (_, i) => (i * 31 + (i >> 8) * 7) & 255,
);

/** SHA-256 in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A model file of which everything is known, as of an alias. */
export const model: ModelFile = {
  id: "tiny",
  file: "Tiny.gguf",
  bytes: content.length,
  sha256: sha256(content),
  hub: { repo: "ada/tiny", path: "sub/Tiny #1.gguf", revision: "abc" },
  wheel: { requirement: "tiny==1.0", entry: "tiny/Tiny.gguf" },
};

/** Checks a file's content, by hash: a difference of long arrays is slow to print. */
export async function assertHolds(
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const held = await Deno.readFile(path);
  assertStrictEquals(held.length, bytes.length);
  assertStrictEquals(sha256(held), sha256(bytes));
}

/** A temporary directory that is removed at the end of the scope. */
export async function temporaryDirectory(): Promise<
  AsyncDisposable & { path: string; file: (name: string) => string }
> {
  const path = await Deno.makeTempDir({ prefix: "everstream_models_" });
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** The names in a directory, sorted. */
export async function namesIn(directory: string): Promise<string[]> {
  const names = [];
  for await (const { name } of Deno.readDir(directory)) names.push(name);
  return names.sort();
}

/** A source that writes `bytes`, or throws; `calls` counts. */
export function fakeSource(
  name: string,
  result: Uint8Array | Error,
): ModelSource & { calls: number } {
  return {
    name,
    calls: 0,
    async fetch(_model, destination) {
      this.calls++;
      if (result instanceof Error) throw result;
      await Deno.writeFile(destination, result);
      return {};
    },
  };
}

/** How the fake hub behaves. */
export interface FakeHubOptions {
  /** What the file holds; `undefined`: there is no such file. */
  file?: Uint8Array<ArrayBuffer> | undefined;
  /** The first answers break off after so many bytes, one each. */
  cuts?: number[];
  /** The etag of the file. Default: its SHA-256, as the hub does for large files. */
  etag?: string;
  /** Never answers. */
  silent?: boolean;
  /** Sends all of the file whatever the range. */
  ignoresRange?: boolean;
}

/** A request that the fake hub has seen. */
export interface SeenRequest {
  path: string;
  range: string | null;
}

/** Serves one file at every path, with ranges, on 127.0.0.1. */
export function fakeHub(
  options: FakeHubOptions,
): AsyncDisposable & { url: string; seen: SeenRequest[] } {
  const { file, cuts = [], silent, ignoresRange } = options;
  const seen: SeenRequest[] = [];
  const stop = new AbortController();
  const handler = async (request: Request): Promise<Response> => {
    const range = request.headers.get("range");
    seen.push({ path: new URL(request.url).pathname, range });
    if (silent) {
      await new Promise((done) => stop.signal.addEventListener("abort", done));
    }
    if (!file) {
      const headers = { "X-Error-Code": "EntryNotFound" };
      return new Response(null, { status: 404, headers });
    }
    const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ??
      [];
    const slice = file.slice(+from, to === "" ? undefined : +to + 1);
    // Only the request for the content is cut, not the one for the size.
    const cut = range === "bytes=0-0" ? undefined : cuts.shift();
    const headers = {
      "content-length": `${slice.length}`,
      "content-range": `bytes ${from}-${
        +from + slice.length - 1
      }/${file.length}`,
      etag: options.etag ?? `"${sha256(file)}"`,
    };
    if (ignoresRange && range !== "bytes=0-0") return new Response(file);
    const status = range ? 206 : 200;
    return new Response(cut === undefined ? slice : broken(slice, cut), {
      status,
      headers,
    });
  };
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  }, handler);
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await server.shutdown();
    },
  };
}

/** Sends `cut` bytes, and breaks the connection once they have had time to arrive. */
function broken(bytes: Uint8Array, cut: number): ReadableStream<Uint8Array> {
  let sent = false;
  return new ReadableStream({
    async pull(controller) {
      if (!sent) {
        sent = true;
        return controller.enqueue(bytes.subarray(0, cut));
      }
      await new Promise((done) => setTimeout(done, 100));
      controller.error(new Error("the test cuts the connection"));
    },
  });
}
