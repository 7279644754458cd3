import { assert, assertEquals, assertThrows } from "@std/assert";
import { dequantize } from "../../lib/weights/dequantize.ts";
import {
  GGML_TYPE_NAMES,
  GGML_TYPES,
  ggmlBytes,
  ggmlTypeName,
} from "../../lib/weights/ggml_types.ts";
import { unpackScalesAndMins } from "../../lib/weights/k_scales.ts";
import golden from "./goldens/dequantize.json" with { type: "json" };

for (const type of GGML_TYPE_NAMES) {
  Deno.test(`${type} weights equal PyPI gguf's bit for bit`, () => {
    const bytes = Uint8Array.fromBase64(golden.cases[type].bytes);
    const expected = new Uint32Array(
      Uint8Array.fromBase64(golden.cases[type].values).buffer,
    );
    assert(expected.length >= 32);
    const values = dequantize(type, bytes, expected.length);
    assertEquals(new Uint32Array(values.buffer), expected);
  });

  Deno.test(`${type} weights do not depend on where their bytes lie`, () => {
    const bytes = Uint8Array.fromBase64(golden.cases[type].bytes);
    const count = bytes.length / GGML_TYPES[type].bytesPerBlock *
      GGML_TYPES[type].blockSize;
    const shifted = new Uint8Array(bytes.length + 8).subarray(
      3,
      3 + bytes.length,
    );
    shifted.set(bytes);
    assertEquals(
      dequantize(type, shifted, count),
      dequantize(type, bytes, count),
    );
  });

  Deno.test(`${type} weights need exactly their bytes`, () => {
    const { blockSize, bytesPerBlock } = GGML_TYPES[type];
    for (
      const length of [
        0,
        bytesPerBlock - 1,
        bytesPerBlock + 1,
        2 * bytesPerBlock,
      ]
    ) {
      assertThrows(
        () => dequantize(type, new Uint8Array(length), blockSize),
        RangeError,
        type,
      );
    }
    assertThrows(
      () => dequantize(type, new Uint8Array(0), -blockSize),
      RangeError,
      type,
    );
    assertEquals(dequantize(type, new Uint8Array(0), 0).length, 0);
  });
}

Deno.test("every scale and minimum of a K block has its own bits", () => {
  // Bit b of value v, by ggml's get_scale_min_k4: v = 0…7 are scales, 8…15 minimums.
  const seen = new Set<string>();
  for (let bit = 0; bit < 96; bit++) {
    const packed = new Uint8Array(12);
    packed[bit >> 3] = 1 << (bit & 7);
    const values = new Uint8Array(16);
    unpackScalesAndMins(packed, 0, values);
    seen.add(values.join());
    assertEquals(values.filter((value) => value !== 0).length, 1);
  }
  assertEquals(seen.size, 96);
});

Deno.test("a type's number names it, and others name none", () => {
  for (const type of GGML_TYPE_NAMES) {
    assertEquals(ggmlTypeName(GGML_TYPES[type].id), type);
  }
  assertEquals(ggmlTypeName(10), undefined);
  assertEquals(ggmlTypeName(2 ** 32 - 1), undefined);
});

Deno.test("weights are laid out in whole blocks", () => {
  assertEquals(ggmlBytes("Q6_K", 512), 420);
  assertThrows(
    () => ggmlBytes("Q6_K", 288),
    RangeError,
    "multiple of 256, current value is 288",
  );
  assertThrows(() => ggmlBytes("F32", 1.5), RangeError, "current value is 1.5");
});
