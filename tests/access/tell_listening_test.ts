import { assertEquals } from "@std/assert";
import { tellListening } from "../../lib/access/tell_listening.ts";

/** What is printed for a server at this address. */
function told(hostname: string, digests: string[]): string[] {
  const { log, warn } = console;
  const lines: string[] = [];
  console.log = console.warn = (line: string) => lines.push(line);
  try {
    const keys = { digests, file: null };
    tellListening({ keys }, { transport: "tcp", hostname, port: 80 });
    return lines.map((line) => line.split(" may use")[0]!);
  } finally {
    Object.assign(console, { log, warn });
  }
}

Deno.test("listening: where, and that everybody may use it, if others can reach it and there are no keys", () => {
  assertEquals(told("127.0.0.1", []), ["Listening on http://127.0.0.1:80"]);
  assertEquals(told("::1", []), ["Listening on http://[::1]:80"]);
  assertEquals(told("::", ["digest"]), ["Listening on http://[::]:80"]);
  assertEquals(told("0.0.0.0", []), [
    "Listening on http://0.0.0.0:80",
    "Everybody who can reach 0.0.0.0",
  ]);
});
