import { assert, assertEquals, assertThrows } from "@std/assert";
import { halfToFloat, halvesToFloats } from "../../lib/weights/half.ts";
import golden from "./goldens/dequantize.json" with { type: "json" };

Deno.test("every half but the NaNs widens to numpy's value", async () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
    .filter((bits) => (bits & 0x7fff) <= 0x7c00);
  const digest = await crypto.subtle.digest(
    "SHA-256",
    halvesToFloats(new Uint8Array(halves.buffer)),
  );
  assertEquals(new Uint8Array(digest).toHex(), golden.allHalvesButNaNsSha256);
});

Deno.test("one half at a time gives the same as many", () => {
  const bits = [
    0,
    0x8000,
    1,
    0x3ff,
    0x400,
    0x3c00,
    0xfbff,
    0x7c00,
    0xfc00,
    0x3555,
  ];
  const many = halvesToFloats(new Uint8Array(Uint16Array.from(bits).buffer));
  assertEquals(bits.map(halfToFloat), [...many]);
  assertEquals(halfToFloat(0x13c00), 1);
});

Deno.test("a NaN stays one and keeps its payload", () => {
  assert(Number.isNaN(halfToFloat(0x7e01)));
  const wide = halvesToFloats(Uint8Array.of(0x01, 0xfe));
  assertEquals(new Uint32Array(wide.buffer)[0], 0xffc02000);
});

Deno.test("halves need an even number of bytes", () => {
  assertThrows(
    () => halvesToFloats(new Uint8Array(3)),
    RangeError,
    "current value is 3",
  );
});
