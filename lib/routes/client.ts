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

/**
 * The address of a client, or of the network that is its own: of IPv6, each has 2^64 addresses.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { networkOf } from "./client.ts";
 * assertEquals(networkOf("192.0.2.7"), "192.0.2.7");
 * assertEquals(networkOf("2001:db8::1:2:3:4"), "2001:db8:0:0");
 * assertEquals(networkOf("::ffff:192.0.2.7"), "192.0.2.7");
 * ```
 */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  if (address.includes(".")) return address.slice(address.lastIndexOf(":") + 1);
  const [before = "", after] = address.split("::");
  const head = before === "" ? [] : before.split(":");
  const tail = after ? after.split(":") : [];
  const zeros = Array(Math.max(0, 8 - head.length - tail.length)).fill("0");
  return [...head, ...zeros, ...tail].slice(0, 4).join(":");
}

/** The network of a request's client, `""` where it is not known. */
export function remoteNetwork(info?: Partial<Deno.ServeHandlerInfo>): string {
  return networkOf(remoteAddress(info));
}

/** The token of RFC 6750's scheme, whose name may be in any case. */
export function bearerToken(authorization = ""): string {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "";
}

/** Not by `hono/deno`, which is deprecated and throws where there is no address, as in tests. */
function remoteAddress(info?: Partial<Deno.ServeHandlerInfo>): string {
  const address = info?.remoteAddr;
  return address?.transport === "tcp" ? address.hostname : "";
}
