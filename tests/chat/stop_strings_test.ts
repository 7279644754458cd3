import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { StopStrings } from "../../lib/chat/stop_strings.ts";

function run(
  stops: string[],
  parts: string[],
): { text: string; stopped: boolean } {
  const stream = new StopStrings(stops);
  let text = "";
  let stopped = false;
  for (const part of parts) {
    const result = stream.push(part);
    text += result.text;
    stopped = result.stopped;
  }
  return { text: text + stream.end(), stopped };
}

/** By the definition: the text before the longest stop string at the end of the shortest beginning. */
function naive(
  stops: string[],
  text: string,
): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const begins = stops.filter((stop) => text.slice(0, end).endsWith(stop))
      .map((stop) => end - stop.length);
    if (begins.length > 0) {
      return { text: text.slice(0, Math.min(...begins)), stopped: true };
    }
  }
  return { text, stopped: false };
}

Deno.test("stop strings are found as by a naive search, however the text is cut", () => {
  const letters = fc.string({
    unit: fc.constantFrom("a", "b", "c"),
    maxLength: 6,
  });
  const stop = letters.filter((text) => text !== "");
  fc.assert(
    fc.property(
      fc.array(stop, { maxLength: 4 }),
      fc.array(letters),
      (stops, parts) => {
        assertEquals(run(stops, parts), naive(stops, parts.join("")));
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("only what may begin a stop string is held back", () => {
  const stream = new StopStrings(["\nUser:", "###"]);
  assertEquals(stream.push("Yes.\nUs"), { text: "Yes.", stopped: false });
  assertEquals(stream.push("ually #"), { text: "\nUsually ", stopped: false });
  assertEquals(stream.push("#"), { text: "", stopped: false });
  assertEquals(stream.push("!"), { text: "##!", stopped: false });
  assertEquals(stream.push("\nUser"), { text: "", stopped: false });
  assertEquals(stream.end(), "\nUser");
});

Deno.test("nothing is given from the stop string on", () => {
  const stream = new StopStrings(["END"]);
  assertEquals(stream.push("aE"), { text: "a", stopped: false });
  assertEquals(stream.push("NDmore"), { text: "", stopped: true });
  assertEquals(stream.push("more"), { text: "", stopped: true });
  assertEquals(stream.end(), "");
});

Deno.test("the stop string that is complete first wins, the longest of those", () => {
  assertEquals(run(["abcd", "bc"], ["abcd"]), { text: "a", stopped: true });
  assertEquals(run(["User:", "\n\nUser:"], ["x\n\nUser:"]), {
    text: "x",
    stopped: true,
  });
});

Deno.test("without stop strings all text passes at once", () => {
  const stream = new StopStrings([]);
  assertEquals(stream.push("text"), { text: "text", stopped: false });
  assertEquals(stream.end(), "");
});

Deno.test("no half of a character is given", () => {
  const stream = new StopStrings(["😀!", "\ude00"]);
  assertEquals(stream.push("a😀"), { text: "a", stopped: false });
  assertEquals(stream.push("😁"), { text: "😀😁", stopped: false });
});

Deno.test("an empty stop string is refused", () => {
  assertThrows(() => new StopStrings(["a", ""]), RangeError, "empty");
});

Deno.test("long stop strings that nearly match cost linear time", () => {
  const stream = new StopStrings(["a".repeat(20_000) + "b"]);
  const begin = performance.now();
  let length = 0;
  for (let i = 0; i < 200_000; i++) length += stream.push("a").text.length;
  assertEquals(length, 180_000);
  assert(
    performance.now() - begin < 5_000,
    `took ${performance.now() - begin} ms`,
  );
});
