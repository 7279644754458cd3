/**
 * Limits of a request's headers, below those of Deno's server: it answers an empty 400 itself to
 * more than 128 fields, or to a head of more than 64 KiB.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { headersTooLarge } from "../openai/errors.ts";

const MOST_FIELDS = 100;
const MOST_BYTES = 32 * 1024;

/** Refuses requests whose headers are too many, or together too long, names and values counted. */
export function limitHeaders(): MiddlewareHandler {
  return async (c, next) => {
    let fields = 0;
    let bytes = 0;
    for (const [name, value] of c.req.raw.headers) {
      fields++;
      bytes += name.length + value.length;
    }
    if (fields > MOST_FIELDS) {
      throw headersTooLarge(`there are ${fields}`, `${MOST_FIELDS}`);
    }
    if (bytes > MOST_BYTES) {
      throw headersTooLarge(`${bytes} bytes`, `${MOST_BYTES} bytes`);
    }
    await next();
  };
}
