/**
 * IEEE 754 half precision to single precision, by a table of all 65,536 values.
 *
 * Every half is a single, so nothing is rounded. NaNs keep their payload in the bulk form.
 *
 * @module
 */

let table: Float32Array<ArrayBuffer> | undefined;

function bitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  let exponent = (half >> 10) & 31;
  let fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | fraction << 13;
  if (exponent === 0) {
    if (fraction === 0) return sign;
    exponent = 1;
    while ((fraction & 0x400) === 0) {
      fraction <<= 1;
      exponent--;
    }
  }
  return sign | (exponent + 112) << 23 | (fraction & 0x3ff) << 13;
}

/** Gives the table itself, indexed by a half's 16 bits: for loops that cannot afford a call. */
export function halfTable(): Float32Array<ArrayBuffer> {
  if (table === undefined) {
    const bits = new Uint32Array(65536);
    for (let half = 0; half < 65536; half++) bits[half] = bitsOfHalf(half);
    table = new Float32Array(bits.buffer);
  }
  return table;
}

/**
 * Gives the value of a half from its low 16 bits; higher bits are ignored.
 *
 * @example The largest half
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { halfToFloat } from "./half.ts";
 *
 * assertEquals(halfToFloat(0x7bff), 65504);
 * ```
 */
export function halfToFloat(bits: number): number {
  return halfTable()[bits & 0xffff]!;
}

/**
 * Widens little-endian halves, two bytes each, bit for bit.
 *
 * @throws {RangeError} The number of bytes is odd.
 */
export function halvesToFloats(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (bytes.length % 2 !== 0) {
    throw new RangeError(
      `Cannot read halves: bytes must be even, current value is ${bytes.length}`,
    );
  }
  const bits = new Uint32Array(halfTable().buffer);
  const out = new Uint32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) {
    out[i] = bits[bytes[2 * i]! | bytes[2 * i + 1]! << 8]!;
  }
  return new Float32Array(out.buffer);
}
