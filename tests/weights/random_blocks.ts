/**
 * Random tensor data of any supported type, for tests and for models with random weights.
 *
 * @module
 */
import {
  GGML_TYPES,
  ggmlBytes,
  type GgmlTypeName,
} from "../../lib/weights/ggml_types.ts";

/** Where each type keeps its half-precision scales in a block, in bytes. */
const HALVES_AT: Readonly<Record<GgmlTypeName, readonly number[]>> = {
  F32: [],
  F16: [0],
  BF16: [],
  Q8_0: [0],
  Q4_0: [0],
  Q4_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** How to draw. */
export interface RandomBlocksOptions {
  /** Gives numbers in [0, 1): seed it for a test that repeats. */
  readonly random: () => number;
  /**
   * The half exponents that scales are drawn from, 0 to 30, both included; 1 to 30 by default. A
   * scale of exponent e is 2^(e − 15) to 2^(e − 14), of either sign; e = 0 is zero and subnormals.
   */
  readonly exponents?: readonly [number, number];
}

/**
 * Gives the bytes of `count` random weights, all of them finite. All integers of a quantised type
 * are equally likely. F32 and BF16 weights lie in [−1, 1).
 */
export function randomBlocks(
  type: GgmlTypeName,
  count: number,
  { random, exponents: [low, high] = [1, 30] }: RandomBlocksOptions,
): Uint8Array<ArrayBuffer> {
  if (type === "F32") {
    return new Uint8Array(
      Float32Array.from({ length: count }, () => random() * 2 - 1).buffer,
    );
  }
  const bytes = Uint8Array.from(
    { length: ggmlBytes(type, count) },
    () => random() * 256,
  );
  if (type === "BF16") {
    const wide = new Uint32Array(
      Float32Array.from({ length: count }, () => random() * 2 - 1).buffer,
    );
    return new Uint8Array(Uint16Array.from(wide, (bits) => bits >>> 16).buffer);
  }
  for (
    let block = 0;
    block < bytes.length;
    block += GGML_TYPES[type].bytesPerBlock
  ) {
    for (const at of HALVES_AT[type]) {
      const exponent = low + Math.floor(random() * (high - low + 1));
      bytes[block + at + 1] = bytes[block + at + 1]! & 0x83 | exponent << 2;
    }
  }
  return bytes;
}
