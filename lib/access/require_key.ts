/** Who comes in: with keys, nobody without one, but for what is open to all. @module */
import type { MiddlewareHandler } from "hono";
import { invalidRequest } from "../openai/errors.ts";
import { bearerToken } from "../routes/client.ts";
import type { KeyRing } from "./keys.ts";

/** Refuses requests without an admitted key, on all paths but the `open` ones. */
export function requireKey(
  keys: Pick<KeyRing, "admits">,
  open: readonly string[],
): MiddlewareHandler {
  return async (c, next) => {
    if (!open.includes(c.req.path)) {
      const key = bearerToken(c.req.header("authorization"));
      if (key === "") {
        throw unauthorized("This server needs an API key, and none was sent.");
      }
      if (!keys.admits(key)) {
        throw unauthorized("The API key is not one of this server's.");
      }
    }
    await next();
  };
}

function unauthorized(what: string): Error {
  return invalidRequest(
    `${what} Send 'Authorization: Bearer KEY' with a key from this server's operator.`,
    {
      status: 401,
      code: "invalid_api_key",
      headers: { "www-authenticate": "Bearer" },
    },
  );
}
