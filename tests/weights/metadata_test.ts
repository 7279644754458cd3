import { assertEquals, assertThrows } from "@std/assert";
import { Metadata, type MetadataValue } from "../../lib/weights/metadata.ts";
import { WeightFileError } from "../../lib/weights/weight_file_error.ts";

const VALUES = new Map<string, MetadataValue>([
  ["count", 30],
  ["big", 12n],
  ["huge", 2n ** 60n],
  ["nan", NaN],
  ["name", "llama"],
  ["flag", false],
  ["tokens", ["a", ""]],
  ["scores", [0, -Infinity, 3n]],
  ["flags", [true, false]],
  ["mixed", ["a", 1]],
  ["empty", []],
]);
const METADATA = new Metadata("m.gguf", VALUES);

Deno.test("getters give values of their type", () => {
  assertEquals(METADATA.number("count"), 30);
  assertEquals(METADATA.number("big"), 12);
  assertEquals(METADATA.string("name"), "llama");
  assertEquals(METADATA.boolean("flag"), false);
  assertEquals(METADATA.strings("tokens"), ["a", ""]);
  assertEquals(METADATA.numbers("scores"), [0, -Infinity, 3]);
  assertEquals(METADATA.booleans("flags"), [true, false]);
  assertEquals([...METADATA.keys()], [...VALUES.keys()]);
});

Deno.test("optional getters give undefined for absent keys alone", () => {
  assertEquals(METADATA.optionalNumber("none"), undefined);
  assertEquals(METADATA.optionalString("none"), undefined);
  assertEquals(METADATA.optionalBoolean("none"), undefined);
  assertEquals(METADATA.optionalStrings("none"), undefined);
  assertEquals(METADATA.optionalNumbers("none"), undefined);
  assertEquals(METADATA.optionalBooleans("none"), undefined);
  assertEquals(METADATA.optionalBoolean("flag"), false);
  assertEquals(METADATA.optionalStrings("empty"), []);
  assertEquals(METADATA.has("none"), false);
  assertThrows(
    () => METADATA.optionalNumber("name"),
    WeightFileError,
    '"name"',
  );
});

Deno.test("a getter's error names the key and what was found", () => {
  const wrong: [() => unknown, string][] = [
    [() => METADATA.number("none"), '"none" must be a number, found nothing'],
    [
      () => METADATA.number("name"),
      '"name" must be a number, found the string "llama"',
    ],
    [() => METADATA.number("huge"), "found the bigint 1152921504606846976"],
    [() => METADATA.number("nan"), "found the number NaN"],
    [() => METADATA.string("count"), "found the number 30"],
    [() => METADATA.boolean("count"), "must be a boolean, found the number 30"],
    [() => METADATA.strings("mixed"), "found an array of 2 (string, number)"],
    [() => METADATA.strings("name"), 'found the string "llama"'],
    [() => METADATA.numbers("tokens"), "found an array of 2 (string)"],
    [() => METADATA.booleans("scores"), "found an array of 3 (number, bigint)"],
    [() => METADATA.string("empty"), "found an array of 0 (empty)"],
  ];
  for (const [read, message] of wrong) {
    assertThrows(read, WeightFileError, message);
    assertThrows(read, WeightFileError, "m.gguf: ");
  }
});

Deno.test("a long string is cut in an error", () => {
  const metadata = new Metadata(
    "m.gguf",
    new Map([["template", "x".repeat(1e6)]]),
  );
  const error = assertThrows(
    () => metadata.number("template"),
    WeightFileError,
  );
  assertEquals(error.message.length < 200, true);
});
