/** Reading a request's JSON, within a limit and with errors that say what was wrong. @module */
import { bodyTooLarge, invalidRequest } from "../openai/errors.ts";

/**
 * The JSON value of a request's body.
 *
 * @param limit most bytes to take, whether or not the request declares its length
 * @throws {ApiError} 400 for another content type, a body that broke off, bytes that are not UTF-8 or no
 * JSON; 413 over the limit
 */
export async function readJson(
  request: Request,
  limit: number,
): Promise<unknown> {
  requireJson(request.headers.get("content-type"));
  return parseJson(await readBytes(request, limit));
}

/**
 * The JSON value of a request's body, `undefined` if there is none: whether clients then send a type,
 * or a length of 0, is theirs to choose.
 *
 * @throws {ApiError} as {@linkcode readJson} does
 */
export async function readJsonIfAny(
  request: Request,
  limit: number,
): Promise<unknown> {
  const bytes = await readBytes(request, limit);
  if (bytes.byteLength === 0) return undefined;
  requireJson(request.headers.get("content-type"));
  return parseJson(bytes);
}

function parseJson(bytes: Uint8Array<ArrayBuffer>): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof SyntaxError
      ? error.message
      : "it is not UTF-8";
    throw invalidRequest(
      `The request's body is not valid JSON: ${reason}. Send one JSON object in UTF-8.`,
      { code: "invalid_json" },
    );
  }
}

function requireJson(contentType: string | null): void {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === "application/json") return;
  throw invalidRequest(
    `The request's body must be JSON; its content-type is ${
      contentType === null ? "missing" : `'${contentType}'`
    }. Send 'content-type: application/json'.`,
    { code: "invalid_content_type" },
  );
}

async function readBytes(
  request: Request,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get("content-length")) > limit) {
    throw bodyTooLarge(limit);
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of arriving(request)) {
    size += chunk.byteLength;
    // Leaving the loop cancels the body: the rest is not read.
    if (size > limit) throw bodyTooLarge(limit);
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** A body as it comes; where it breaks off, its sender has left or is at fault. */
async function* arriving(
  { body }: Request,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  try {
    yield* body ?? [];
  } catch {
    throw invalidRequest(
      "The request's body ended before its length, or its connection did. Send all of it.",
      { code: "incomplete_body" },
    );
  }
}
