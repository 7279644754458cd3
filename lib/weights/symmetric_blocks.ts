/**
 * Blocks with offsets as blocks of 8 bits without: the same weights on a finer grid. A GPU pays for a
 * dispatch rather than for bytes where matrices are small, and offsets cost two more products.
 *
 * A block's weights are d·(q − c) + m. On a grid of d / n, n a whole number, the first part falls on
 * grid points, and only m has to be moved to the nearest one. Of the n for which the block still fits
 * 8 bits the one that moves m least is taken. Where not even n = 1 fits, m being many times d, weights
 * are rounded to the finest grid that reaches the largest of them.
 *
 * @module
 */
import type { AffineBlocks } from "./affine_blocks.ts";

/** Farthest that a grid point lies from the centre. */
const REACH = 127;

/** Blocks without offsets, and by how much their weights are not those asked for. */
export interface SymmetricBlocks {
  readonly blocks: AffineBlocks;
  /** Root mean square of the weights' errors, over that of the weights. */
  readonly error: number;
}

/**
 * The blocks without offsets; those that have none are given back as they are.
 *
 * All weights of a block are moved alike, unless its offset is over some 120 times its scale. The error
 * is about 0.003 for Q4_1 of trained weights, and grows with the offsets.
 *
 * @param rounded how scales will be rounded, which counts as an error; by default to f32
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { toSymmetricBlocks } from "./symmetric_blocks.ts";
 *
 * // Weights 0.5·(q − 8) + 3.25: on a grid of 0.5/10 the offset is 65 steps.
 * const block = { bits: 4, blockSize: 32, center: 8, q: new Uint8Array(16).fill(0x78) } as const;
 * const [scale, offset] = [Float32Array.of(0.5), Float32Array.of(3.25)];
 * const { blocks, error } = toSymmetricBlocks({ ...block, scale, offset });
 * const weight = (i: number) => (blocks.q[i]! - 128) * blocks.scale[0]!;
 * assertEquals([weight(0), weight(1)].map((w) => w.toFixed(4)), ["3.2500", "2.7500"]);
 * assertEquals(error < 1e-6, true);
 * ```
 */
export function toSymmetricBlocks(
  from: AffineBlocks,
  rounded: (scale: number) => number = Math.fround,
): SymmetricBlocks {
  const { bits, blockSize, center, q, scale, offset } = from;
  if (!offset) return { blocks: from, error: 0 };
  const wide = bits === 8 ? q : unpackNibbles(q);
  const result = new Uint8Array(wide.length);
  const scales = new Float32Array(scale.length);
  let [errors, weights] = [0, 0]; // squares
  for (let block = 0; block < scale.length; block++) {
    const at = block * blockSize;
    const [d, m] = [scale[block]!, offset[block]!];
    const { step, shift, size } = finestGrid(
      wide.subarray(at, at + blockSize),
      center,
      d,
      m,
    );
    scales[block] = rounded(size);
    for (let i = at; i < at + blockSize; i++) {
      const level = Math.round(step * (wide[i]! - center) + shift);
      result[i] = 128 + level;
      const weight = d * (wide[i]! - center) + m;
      weights += weight ** 2;
      errors += (scales[block]! * level - weight) ** 2;
    }
  }
  const blocks: AffineBlocks = {
    bits: 8,
    blockSize,
    center: 128,
    q: result,
    scale: scales,
    offset: null,
  };
  return { blocks, error: weights === 0 ? 0 : Math.sqrt(errors / weights) };
}

/** Steps of the grid between neighbouring weights, and from 0 to the offset; the size of a step. */
interface Grid {
  readonly step: number;
  readonly shift: number;
  readonly size: number;
}

function finestGrid(
  q: Uint8Array,
  center: number,
  d: number,
  m: number,
): Grid {
  const [least, most] = [Math.min(...q) - center, Math.max(...q) - center];
  if (d === 0 || least === most) {
    const weight = d * least + m; // all of them
    const shift = Math.sign(weight) * REACH;
    return { step: 0, shift, size: Math.abs(weight) / REACH };
  }
  const ratio = m / d;
  const reach = Math.max(Math.abs(least + ratio), Math.abs(most + ratio));
  const finest = Math.max(1, Math.floor(REACH / reach));
  let best: Grid | null = null;
  let moved = Infinity;
  for (let step = finest; step >= Math.max(1, finest / 2); step--) {
    const shift = Math.round(ratio * step);
    const fits = Math.abs(step * least + shift) <= REACH &&
      Math.abs(step * most + shift) <= REACH;
    const move = Math.abs(ratio - shift / step);
    if (fits && move < moved) {
      [best, moved] = [{ step, shift, size: d / step }, move];
    }
  }
  if (best) return best;
  const step = REACH / reach; // less than 1: weights fall between grid points
  return { step, shift: ratio * step, size: d / step };
}

function unpackNibbles(q: Uint8Array): Uint8Array {
  const wide = new Uint8Array(2 * q.length);
  for (const [i, byte] of q.entries()) {
    wide[2 * i] = byte & 15;
    wide[2 * i + 1] = byte >> 4;
  }
  return wide;
}
