/**
 * Unpacks the 6-bit scales and minimums of a Q4_K or Q5_K block (`get_scale_min_k4` in ggml-quants.c).
 *
 * @param bytes What holds the block.
 * @param at Where the block's 12 packed bytes start.
 * @param into Takes the 8 groups' scales, then their 8 minimums.
 */
export function unpackScalesAndMins(
  bytes: Uint8Array,
  at: number,
  into: Uint8Array,
): void {
  for (let i = 0; i < 4; i++) {
    const scale = bytes[at + i]!;
    const min = bytes[at + 4 + i]!;
    const rest = bytes[at + 8 + i]!;
    into[i] = scale & 63;
    into[4 + i] = rest & 15 | scale >> 6 << 4;
    into[8 + i] = min & 63;
    into[12 + i] = rest >> 4 | min >> 6 << 4;
  }
}
