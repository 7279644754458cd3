/** Weights as trained models have them, quantised as ggml does it. @module */

const BLOCK = 32;

/**
 * Q4_1 blocks of normally distributed weights, `count` of them: scale and minimum as halves, then 32
 * integers of 4 bits that divide what lies between a block's least and its largest.
 *
 * @param random gives numbers in [0, 1)
 * @param mean moves all weights
 */
export function normalBlocks(
  count: number,
  random: () => number,
  { deviation = 0.05, mean = 0 } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count / BLOCK * 20);
  for (let at = 0; at < bytes.length; at += 20) {
    const weights = Array.from(
      { length: BLOCK },
      () => mean + deviation * normal(random),
    );
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

/** Box and Muller's. */
function normal(random: () => number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}
