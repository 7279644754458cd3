import { assertEquals, assertStrictEquals } from "@std/assert";
import { terminalProgress } from "../../lib/models/terminal_progress.ts";

function written(isTerminal: boolean, total: number | undefined): string[] {
  const texts: string[] = [];
  const show = terminalProgress({ write: (s) => texts.push(s), isTerminal });
  for (let received = 0; received <= 50e6; received += 50e3) {
    show({ source: "the hub", received, total });
  }
  return texts;
}

Deno.test("a log gets a line every 10 %", () => {
  const lines = written(false, 50e6);
  assertStrictEquals(lines.length, 11);
  assertStrictEquals(lines[3], "Fetching from the hub: 30 % of 50.0 MB\n");
});

Deno.test("a log gets a line every 10 MB of an unknown total", () => {
  const lines = written(false, undefined);
  assertStrictEquals(lines.length, 6);
  assertStrictEquals(lines[2], "Fetching from the hub: 20.0 MB\n");
});

Deno.test("a terminal gets one line, redrawn and ended once", () => {
  const texts = written(true, 50e6);
  assertStrictEquals(texts.length, 101);
  assertEquals(texts.filter((s) => s.includes("\n")), [texts.at(-1)]);
  assertEquals(texts.every((s) => s.startsWith("\r")), true);
});
