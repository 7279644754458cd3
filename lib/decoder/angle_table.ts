/** Cosines and sines of positions, computed in f64: a position of 10⁹ loses nothing. @module */
import { type DecoderShape, ropeFrequencies } from "../graph/decoder_shape.ts";

/** Rotary angles of one model. */
export class AngleTable {
  readonly #frequencies: Float64Array;

  constructor(shape: DecoderShape) {
    this.#frequencies = ropeFrequencies(shape);
  }

  /** Pairs of a head: angles of one position. */
  get half(): number {
    return this.#frequencies.length;
  }

  /** Rows of the given positions, `[positions, half]` each. */
  rows(
    positions: readonly number[],
  ): { cos: Float32Array<ArrayBuffer>; sin: Float32Array<ArrayBuffer> } {
    const cos = new Float32Array(positions.length * this.half);
    const sin = new Float32Array(positions.length * this.half);
    let at = 0;
    for (const position of positions) {
      for (const frequency of this.#frequencies) {
        cos[at] = Math.cos(position * frequency);
        sin[at++] = Math.sin(position * frequency);
      }
    }
    return { cos, sin };
  }
}
