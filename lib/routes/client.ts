/** Who a request is from: conversations are kept apart, and the queue is shared, by that. @module */
import type { Context } from "hono";
import type { Client } from "../chat/chat_model.ts";
import { sha256OfText } from "../models/sha256.ts";

/**
 * The client behind a request. Its API key is not checked here, and only a digest of it goes on.
 * Addresses are known where `Deno.serve` gives its second argument on to the app's `fetch`.
 */
export function clientOf(c: Context): Client {
  const token = bearerToken(c.req.header("authorization"));
  const owner = token === "" ? "" : sha256OfText(token).slice(0, 32);
  return { owner, id: owner || remoteAddress(c.env) };
}

/** The token of RFC 6750's scheme, whose name may be in any case. */
function bearerToken(authorization = ""): string {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "";
}

/** Not by `hono/deno`, which is deprecated and throws where there is no address, as in tests. */
function remoteAddress(info?: Partial<Deno.ServeHandlerInfo>): string {
  const address = info?.remoteAddr;
  return address?.transport === "tcp" ? address.hostname : "";
}
