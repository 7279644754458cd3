/** Where the server listens, and whether anybody there may use it. @module */
import { isOpen, type KeySources } from "./open_keys.ts";

/** Prints the server's address, and a warning if others reach it and there are no keys. */
export function tellListening(
  { keys }: { readonly keys: KeySources },
  address: Deno.Addr,
): void {
  // A Unix socket is as open as its file's permissions are.
  if (!("hostname" in address)) return;
  const { hostname, port } = address;
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  console.log(`Listening on http://${host}:${port}`);
  if (!isOpen(keys) || isLoopback(hostname)) return;
  console.warn(
    `Everybody who can reach ${hostname} may use this server: ` +
      "set EVERSTREAM_API_KEYS or EVERSTREAM_API_KEYS_FILE, or listen on 127.0.0.1.",
  );
}

/**
 * Whether only this machine reaches an address.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { isLoopback } from "./tell_listening.ts";
 * const addresses = ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "127.example.com"];
 * assertEquals(addresses.map(isLoopback), [true, true, true, false, false, false]);
 * ```
 */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(hostname);
}
