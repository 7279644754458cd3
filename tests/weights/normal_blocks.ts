/** Q4_1 blocks whose offsets a grid of 8 bits can hold well, as those of trained models, and badly. @module */

const BLOCK = 32;

/**
 * Q4_1 blocks of these weights: scale and minimum as halves, then 32 integers of 4 bits that divide what lies
 * between a block's least and its largest.
 */
export function packQ4_1(all: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(all.length / BLOCK * 20);
  for (let at = 0, first = 0; at < bytes.length; at += 20, first += BLOCK) {
    const weights = Array.from({ length: BLOCK }, (_, i) => all[first + i]!);
    const least = Math.min(...weights);
    const d = (Math.max(...weights) - least) / 15;
    bytes.set(new Uint8Array(Float16Array.of(d, least).buffer), at);
    const level = (i: number) =>
      Math.min(15, Math.floor((weights[i]! - least) / d + 0.5));
    for (let i = 0; i < 16; i++) {
      bytes[at + 4 + i] = level(i) | level(16 + i) << 4;
    }
  }
  return bytes;
}

/**
 * Q4_1 blocks of `count` normally distributed weights.
 *
 * @param random gives numbers in [0, 1)
 */
export function normalBlocks(
  count: number,
  random: () => number,
): Uint8Array<ArrayBuffer> {
  return packQ4_1(Array.from({ length: count }, () => 0.05 * normal(random)));
}

/**
 * Q4_1 blocks whose offsets are 64.5 times their scales: a grid that reaches the weights has no steps
 * between the block's own, and moves weights by half of one.
 */
export function farBlocks(
  count: number,
  random: () => number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count / BLOCK * 20);
  for (let at = 0; at < bytes.length; at += 20) {
    const d = 2 ** -(8 + Math.floor(3 * random()));
    // d·q + m = d·(q − 8) + (m + 8d)
    bytes.set(new Uint8Array(Float16Array.of(d, 56.5 * d).buffer), at);
    for (let i = 4; i < 20; i++) bytes[at + i] = Math.floor(256 * random());
  }
  return bytes;
}

/** Box and Muller's. */
function normal(random: () => number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}
