/**
 * Quantised weights to f32, by the arithmetic of ggml's reference (`dequantize_row_*` in
 * ggml-quants.c; PyPI `gguf`'s `quants.py` is the same).
 *
 * The reference rounds to f32 after each operation. Here each weight is computed in f64 and rounded
 * once, as it is stored, with equal results: a product of a half (11 significant bits) and the
 * format's integers has at most 24 bits, so that the reference's products are exact as well.
 *
 * @module
 */
import { GGML_TYPES, ggmlBytes, type GgmlTypeName } from "./ggml_types.ts";
import { halfTable, halvesToFloats } from "./half.ts";
import { unpackScalesAndMins } from "./k_scales.ts";

type BlockDequantizer = (bytes: Uint8Array, out: Float32Array) => void;

const DEQUANTIZERS: Readonly<
  Record<Exclude<GgmlTypeName, "F32" | "F16" | "BF16">, BlockDequantizer>
> = {
  Q8_0: dequantizeQ8_0,
  Q4_0: dequantizeQ4_0,
  Q4_1: dequantizeQ4_1,
  Q4_K: dequantizeQ4_K,
  Q5_K: dequantizeQ5_K,
  Q6_K: dequantizeQ6_K,
};

/**
 * Gives the values of `count` weights.
 *
 * @example A block of eight-bit weights
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dequantize } from "./dequantize.ts";
 *
 * const block = new Uint8Array(34);
 * block.set([0x00, 0x38, 3, 0xff]); // scale 0.5, then 3 and -1
 * assertEquals([...dequantize("Q8_0", block, 32).subarray(0, 3)], [1.5, -0.5, 0]);
 * ```
 *
 * @throws {RangeError} `bytes` is not what `count` weights take, or `count` is no whole number of blocks.
 */
export function dequantize(
  type: GgmlTypeName,
  bytes: Uint8Array,
  count: number,
): Float32Array<ArrayBuffer> {
  const needed = ggmlBytes(type, count);
  if (bytes.length !== needed) {
    throw new RangeError(
      `Cannot read ${count} ${type} weights: they take ${needed} bytes, current value is ${bytes.length}`,
    );
  }
  if (type === "F32") return new Float32Array(new Uint8Array(bytes).buffer);
  if (type === "F16") return halvesToFloats(bytes);
  if (type === "BF16") return brainHalvesToFloats(bytes);
  const out = new Float32Array(count);
  DEQUANTIZERS[type](bytes, out);
  return out;
}

function brainHalvesToFloats(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) {
    out[i] = bytes[2 * i]! << 16 | bytes[2 * i + 1]! << 24;
  }
  return new Float32Array(out.buffer);
}

/** Block of 32: half d, 32 signed bytes. w = d·q. */
function dequantizeQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const halves = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 34, to += 32) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    for (let i = 0; i < 32; i++) {
      out[to + i] = d * (bytes[at + 2 + i]! << 24 >> 24);
    }
  }
}

/** Block of 32: half d, 16 bytes, the low nibbles first. w = d·(q − 8). */
function dequantizeQ4_0(bytes: Uint8Array, out: Float32Array): void {
  const halves = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 18, to += 32) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!;
      out[to + i] = d * ((pair & 15) - 8);
      out[to + 16 + i] = d * ((pair >> 4) - 8);
    }
  }
}

/** Block of 32: halves d and m, 16 bytes, the low nibbles first. w = d·q + m. */
function dequantizeQ4_1(bytes: Uint8Array, out: Float32Array): void {
  const halves = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 20, to += 32) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    const m = halves[bytes[at + 2]! | bytes[at + 3]! << 8]!;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i]!;
      out[to + i] = d * (pair & 15) + m;
      out[to + 16 + i] = d * (pair >> 4) + m;
    }
  }
}

/**
 * Block of 256: halves d and dmin, 12 bytes of scales and minimums, 128 bytes; 32 bytes hold two
 * groups of 32, in their low and in their high nibbles. w = d·scale·q − dmin·min.
 */
function dequantizeQ4_K(bytes: Uint8Array, out: Float32Array): void {
  const halves = halfTable();
  const packed = new Uint8Array(16);
  const { bytesPerBlock } = GGML_TYPES.Q4_K;
  for (let at = 0, to = 0; to < out.length; at += bytesPerBlock, to += 256) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    const dmin = halves[bytes[at + 2]! | bytes[at + 3]! << 8]!;
    unpackScalesAndMins(bytes, at + 4, packed);
    for (let group = 0; group < 8; group++) {
      const scale = d * packed[group]!;
      const min = dmin * packed[8 + group]!;
      const from = at + 16 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        out[to + group * 32 + i] = scale * (bytes[from + i]! >> shift & 15) -
          min;
      }
    }
  }
}

/** As Q4_K with 32 bytes of fifth bits before the nibbles: bit g of byte i is for weight i of group g. */
function dequantizeQ5_K(bytes: Uint8Array, out: Float32Array): void {
  const halves = halfTable();
  const packed = new Uint8Array(16);
  const { bytesPerBlock } = GGML_TYPES.Q5_K;
  for (let at = 0, to = 0; to < out.length; at += bytesPerBlock, to += 256) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    const dmin = halves[bytes[at + 2]! | bytes[at + 3]! << 8]!;
    unpackScalesAndMins(bytes, at + 4, packed);
    for (let group = 0; group < 8; group++) {
      const scale = d * packed[group]!;
      const min = dmin * packed[8 + group]!;
      const from = at + 48 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const high = (bytes[at + 16 + i]! >> group & 1) << 4;
        out[to + group * 32 + i] =
          scale * (bytes[from + i]! >> shift & 15 | high) - min;
      }
    }
  }
}

/**
 * Block of 256: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, half d.
 * Each half of the block has groups of 32 weights: nibbles of 32 bytes, low for the groups 0 and 1,
 * high for 2 and 3; bits 2g and 2g + 1 of 32 bytes. w = d·scale·(q − 32), a scale for 16 weights.
 */
function dequantizeQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const halves = halfTable();
  const { bytesPerBlock } = GGML_TYPES.Q6_K;
  for (let at = 0, to = 0; to < out.length; at += bytesPerBlock, to += 256) {
    const d = halves[bytes[at + 208]! | bytes[at + 209]! << 8]!;
    for (let group = 0; group < 8; group++) {
      const low = at + (group >> 2) * 64 + (group & 1) * 32;
      const high = at + 128 + (group >> 2) * 32;
      const lowShift = (group & 2) * 2;
      const highShift = (group & 3) * 2;
      for (let i = 0; i < 32; i++) {
        const scale = bytes[at + 192 + group * 2 + (i >> 4)]! << 24 >> 24;
        const q = bytes[low + i]! >> lowShift & 15 |
          (bytes[high + i]! >> highShift & 3) << 4;
        out[to + group * 32 + i] = d * scale * (q - 32);
      }
    }
  }
}
