import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Utf8Stream } from "../../lib/text/utf8_stream.ts";

/** Bytes that are UTF-8, or nearly, or not at all. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.string({ unit: "binary" }).map((text) => new TextEncoder().encode(text)),
  fc.array(
    fc.constantFrom(
      0x61,
      0xc3,
      0xa9,
      0xe2,
      0x82,
      0xac,
      0xf0,
      0x9f,
      0x98,
      0x80,
      0xff,
      0xef,
      0xbb,
    ),
    { maxLength: 40 },
  ).map((units) => Uint8Array.from(units)),
);

function parts(bytes: Uint8Array, sizes: number[]): Uint8Array[] {
  const result: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    result.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...result, bytes.subarray(at)];
}

Deno.test("a UTF-8 stream gives what TextDecoder gives for the whole, however it is cut", () => {
  const sizes = fc.array(fc.nat({ max: 5 }), { maxLength: 20 });
  fc.assert(
    fc.property(bytes, sizes, (bytes, sizes) => {
      const stream = new Utf8Stream();
      const text = parts(bytes, sizes).map((part) => stream.push(part)).join(
        "",
      );
      const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      assertEquals(text + stream.end(), whole);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a UTF-8 stream gives a character once it is whole", () => {
  const stream = new Utf8Stream();
  const given = [...new TextEncoder().encode("é😀")].map((byte) =>
    stream.push(Uint8Array.of(byte))
  );
  assertEquals(given, ["", "é", "", "", "", "😀"]);
  assertEquals(stream.end(), "");
});

Deno.test("a UTF-8 stream that ends inside a character ends with U+FFFD", () => {
  const stream = new Utf8Stream();
  assertEquals(stream.push(Uint8Array.of(0x61, 0xf0, 0x9f)), "a");
  assertEquals(stream.end(), "\ufffd");
});

Deno.test("a UTF-8 stream keeps a byte order mark", () => {
  const stream = new Utf8Stream();
  assertEquals(stream.push(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), "\ufeffa");
  stream.end();
});
