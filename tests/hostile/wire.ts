/** HTTP/1.1 as bytes: what no well-behaved client can send, and how it is answered. @module */

/** A request as it goes out. */
export interface WireRequest {
  readonly method: string;
  /** Path and query as they are: no byte of it is escaped here. */
  readonly target: string;
  /** Their values are a byte a character. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array<ArrayBuffer> | null;
  /** Whether the body ends before its length says. */
  readonly cut: boolean;
  /** Bytes of the answer after which the client leaves; `null`: it reads all. */
  readonly leaves: number | null;
}

/** An answer. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Milliseconds after which there will be no answer. */
const PATIENCE = 15_000;

/** The request's bytes as text, a byte a character. */
export function written(
  { method, target, headers, body, cut }: WireRequest,
): string {
  const length = body ? [["content-length", body.length + (cut ? 9 : 0)]] : [];
  const head = [["host", "localhost"], ["connection", "close"], ...length];
  const lines = [...head, ...headers].map(([name, value]) =>
    `${name}: ${value}`
  );
  return [`${method} ${target} HTTP/1.1`, ...lines, "", ""].join("\r\n") +
    latin1(body ?? new Uint8Array());
}

/**
 * Sends a request on a connection of its own.
 *
 * @returns `null` if the client left, or was sent away before it had said all
 * @throws {Error} if there is no answer in time
 */
export async function ask(
  port: number,
  request: WireRequest,
): Promise<WireAnswer | null> {
  using connection = await Deno.connect({ port });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no answer within ${PATIENCE} ms`)),
    PATIENCE,
  );
  try {
    await Promise.race([send(connection, request), late.promise]);
    const text = await Promise.race([
      receive(connection, request.leaves ?? Infinity),
      late.promise,
    ]);
    return text === "" || request.leaves !== null ? null : parse(text);
  } finally {
    clearTimeout(timer);
  }
}

async function send(
  connection: Deno.TcpConn,
  request: WireRequest,
): Promise<void> {
  let bytes = Uint8Array.from(written(request), (unit) => unit.charCodeAt(0));
  try {
    while (bytes.length > 0) {
      bytes = bytes.subarray(await connection.write(bytes));
    }
    if (request.cut) await connection.closeWrite();
  } catch (error) {
    if (!isEnd(error)) throw error;
  }
}

async function receive(
  connection: Deno.TcpConn,
  most: number,
): Promise<string> {
  const buffer = new Uint8Array(1 << 16);
  let text = "";
  try {
    while (text.length < most) {
      const count = await connection.read(buffer);
      if (count === null) break;
      text += latin1(buffer.subarray(0, count));
    }
  } catch (error) {
    if (!isEnd(error)) throw error;
  }
  return text;
}

/** Whether the other side has closed the connection. */
function isEnd(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.NotConnected;
}

/** @throws {SyntaxError} if it is no answer */
function parse(answer: string): WireAnswer {
  const end = answer.indexOf("\r\n\r\n");
  const [first, ...lines] = answer.slice(0, end).split("\r\n");
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first!)?.[1];
  if (end < 0 || !status) throw new SyntaxError(`no answer: ${answer}`);
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const body = answer.slice(end + 4);
  const whole = headers.get("transfer-encoding") === "chunked"
    ? dechunked(body)
    : body;
  const bytes = Uint8Array.from(whole, (unit) => unit.charCodeAt(0));
  return {
    status: Number(status),
    headers,
    text: new TextDecoder("utf-8", { fatal: true }).decode(bytes),
  };
}

function dechunked(body: string): string {
  let text = "";
  for (let at = 0; at < body.length;) {
    const line = body.indexOf("\r\n", at);
    const length = parseInt(body.slice(at, line), 16);
    text += body.slice(line + 2, line + 2 + length);
    at = line + 2 + length + 2;
  }
  return text;
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return text;
}
