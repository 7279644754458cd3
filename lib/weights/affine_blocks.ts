/**
 * Quantised weights in the form that the graph's 4- and 8-bit matrix product takes: integers with a
 * fixed centre, and for each block of a row a scale and an offset. No weight is quantised anew.
 *
 * @module
 */
import { ggmlBytes, type GgmlTypeName } from "./ggml_types.ts";
import { halfTable } from "./half.ts";
import { unpackScalesAndMins } from "./k_scales.ts";

/**
 * A matrix as `w[r][c] = scale[r][b] * (q[r][c] - center) + offset[r][b]`, `b = floor(c / blockSize)`.
 */
export interface AffineBlocks {
  readonly bits: 4 | 8;
  readonly blockSize: 16 | 32;
  readonly center: 8 | 128;
  /**
   * Row-major. Of 8 bits, one a byte; of 4, two a byte, the even one in the low nibble: ONNX
   * MatMulNBits' B, `[rows, cols / blockSize, blockSize * bits / 8]`.
   */
  readonly q: Uint8Array<ArrayBuffer>;
  /** `[rows, cols / blockSize]`. */
  readonly scale: Float32Array<ArrayBuffer>;
  /** As `scale`; `null` when every offset is zero. */
  readonly offset: Float32Array<ArrayBuffer> | null;
}

/**
 * Gives a quantised matrix as affine blocks, `null` for a type that is not quantised.
 *
 * Scales are exact; an offset is computed in f64 and rounded to f32.
 *
 * @example Four-bit weights
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { toAffineBlocks } from "./affine_blocks.ts";
 *
 * const block = new Uint8Array(18).fill(0xf0); // weights 0 to 15 are 0, weights 16 to 31 are 15
 * const { q, center } = toAffineBlocks("Q4_0", block, 1, 32)!;
 * assertEquals([center, q[7], q[8]], [8, 0x00, 0xff]);
 * ```
 *
 * @throws {RangeError} `bytes` is not what the matrix takes, or `cols` is no whole number of blocks.
 */
export function toAffineBlocks(
  type: GgmlTypeName,
  bytes: Uint8Array,
  rows: number,
  cols: number,
): AffineBlocks | null {
  const needed = rows * ggmlBytes(type, cols);
  if (!Number.isInteger(rows) || rows < 0 || bytes.length !== needed) {
    throw new RangeError(
      `Cannot read ${rows} rows of ${cols} ${type} weights: they take ${needed} bytes, current value is ${bytes.length}`,
    );
  }
  const count = rows * cols;
  switch (type) {
    case "Q4_0":
      return fromQ4_0(bytes, allocate(4, 32, count));
    case "Q4_1":
      return fromQ4_1(bytes, allocate(4, 32, count));
    case "Q8_0":
      return fromQ8_0(bytes, allocate(8, 32, count));
    case "Q4_K":
      return fromQ4_K(bytes, allocate(4, 32, count));
    case "Q5_K":
      return fromQ5_K(bytes, allocate(8, 32, count));
    case "Q6_K":
      return fromQ6_K(bytes, allocate(8, 16, count));
    case "F32":
    case "F16":
    case "BF16":
      return null;
  }
}

function allocate(
  bits: 4 | 8,
  blockSize: 16 | 32,
  count: number,
): AffineBlocks {
  return {
    bits,
    blockSize,
    center: bits === 4 ? 8 : 128,
    q: new Uint8Array(count * bits / 8),
    scale: new Float32Array(count / blockSize),
    offset: null,
  };
}

function withOffset(
  blocks: AffineBlocks,
  offset: Float32Array<ArrayBuffer>,
): AffineBlocks {
  return {
    ...blocks,
    offset: offset.every((value) => value === 0) ? null : offset,
  };
}

/**
 * Puts `2 * run` four-bit weights in order: `run` bytes at `from` hold the first `run` in their low
 * nibbles and the others in their high ones. `run` is even.
 */
function reorderNibbles(
  bytes: Uint8Array,
  from: number,
  run: number,
  q: Uint8Array,
  to: number,
): void {
  const half = run >> 1;
  for (let i = 0; i < half; i++) {
    const even = bytes[from + 2 * i]!;
    const odd = bytes[from + 2 * i + 1]!;
    q[to + i] = even & 15 | odd << 4;
    q[to + half + i] = even >> 4 | odd & 0xf0;
  }
}

function fromQ4_0(bytes: Uint8Array, blocks: AffineBlocks): AffineBlocks {
  const halves = halfTable();
  const { q, scale } = blocks;
  for (let block = 0, at = 0; block < scale.length; block++, at += 18) {
    scale[block] = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    reorderNibbles(bytes, at + 2, 16, q, block * 16);
  }
  return blocks;
}

/** d·q + m = d·(q − 8) + (m + 8d). */
function fromQ4_1(bytes: Uint8Array, blocks: AffineBlocks): AffineBlocks {
  const halves = halfTable();
  const { q, scale } = blocks;
  const offset = new Float32Array(scale.length);
  for (let block = 0, at = 0; block < scale.length; block++, at += 20) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    scale[block] = d;
    offset[block] = halves[bytes[at + 2]! | bytes[at + 3]! << 8]! + 8 * d;
    reorderNibbles(bytes, at + 4, 16, q, block * 16);
  }
  return withOffset(blocks, offset);
}

function fromQ8_0(bytes: Uint8Array, blocks: AffineBlocks): AffineBlocks {
  const halves = halfTable();
  const { q, scale } = blocks;
  for (let block = 0, at = 0; block < scale.length; block++, at += 34) {
    scale[block] = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    // A signed byte plus 128 is the byte with its highest bit turned.
    for (let i = 0; i < 32; i++) q[block * 32 + i] = bytes[at + 2 + i]! ^ 0x80;
  }
  return blocks;
}

/** d·s·q − dmin·m = d·s·(q − 8) + (8·d·s − dmin·m). */
function fromQ4_K(bytes: Uint8Array, blocks: AffineBlocks): AffineBlocks {
  const { q } = blocks;
  const offset = scaleGroups(bytes, blocks, { bytesPerBlock: 144, center: 8 });
  for (let at = 16, to = 0; to < q.length; at += 144, to += 128) {
    for (let pair = 0; pair < 128; pair += 32) {
      reorderNibbles(bytes, at + pair, 32, q, to + pair);
    }
  }
  return withOffset(blocks, offset);
}

/** d·s·q − dmin·m = d·s·((q + 112) − 128) + (16·d·s − dmin·m). */
function fromQ5_K(bytes: Uint8Array, blocks: AffineBlocks): AffineBlocks {
  const { q } = blocks;
  const offset = scaleGroups(bytes, blocks, { bytesPerBlock: 176, center: 16 });
  for (let at = 16, to = 0; to < q.length; at += 176, to += 256) {
    for (let group = 0; group < 8; group++) {
      const from = at + 32 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const high = (bytes[at + i]! >> group & 1) << 4;
        q[to + group * 32 + i] = (bytes[from + i]! >> shift & 15 | high) + 112;
      }
    }
  }
  return withOffset(blocks, offset);
}

/** Fills in the scales of Q4_K or Q5_K blocks, and gives the offsets for weights around `center`. */
function scaleGroups(
  bytes: Uint8Array,
  { scale }: AffineBlocks,
  { bytesPerBlock, center }: { bytesPerBlock: number; center: number },
): Float32Array<ArrayBuffer> {
  const halves = halfTable();
  const packed = new Uint8Array(16);
  const offset = new Float32Array(scale.length);
  for (
    let first = 0, at = 0;
    first < scale.length;
    first += 8, at += bytesPerBlock
  ) {
    const d = halves[bytes[at]! | bytes[at + 1]! << 8]!;
    const dmin = halves[bytes[at + 2]! | bytes[at + 3]! << 8]!;
    unpackScalesAndMins(bytes, at + 4, packed);
    for (let group = 0; group < 8; group++) {
      const groupScale = d * packed[group]!;
      scale[first + group] = groupScale;
      offset[first + group] = center * groupScale - dmin * packed[8 + group]!;
    }
  }
  return offset;
}

/** d·s·(q − 32) = d·s·((q + 96) − 128). */
function fromQ6_K(bytes: Uint8Array, blocks: AffineBlocks): AffineBlocks {
  const halves = halfTable();
  const { q, scale } = blocks;
  for (let at = 0, to = 0; to < q.length; at += 210, to += 256) {
    const d = halves[bytes[at + 208]! | bytes[at + 209]! << 8]!;
    for (let i = 0; i < 16; i++) {
      scale[to / 16 + i] = d * (bytes[at + 192 + i]! << 24 >> 24);
    }
    for (let group = 0; group < 8; group++) {
      const low = at + (group >> 2) * 64 + (group & 1) * 32;
      const high = at + 128 + (group >> 2) * 32;
      const lowShift = (group & 2) * 2;
      const highShift = (group & 3) * 2;
      for (let i = 0; i < 32; i++) {
        const bits = bytes[low + i]! >> lowShift & 15 |
          (bytes[high + i]! >> highShift & 3) << 4;
        q[to + group * 32 + i] = bits + 96;
      }
    }
  }
  return blocks;
}
