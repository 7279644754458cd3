/**
 * The numbers of a decoder-only transformer that the graph, the cache and the API need. A model
 * family reads them from a file's metadata; nothing else does.
 *
 * @module
 */

/** Numbers of a decoder. */
export interface DecoderShape {
  readonly layers: number;
  /** Width of the residual stream. */
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Inner width of the feed-forward network. */
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly rmsEpsilon: number;
  /** Tokens the model was trained to see at once. */
  readonly contextLength: number;
  readonly rope: RopeShape;
}

/** Those that rows of a cache depend on. */
export type AttentionShape = Pick<
  DecoderShape,
  "heads" | "kvHeads" | "headDim"
>;

/** Those that a cache's size depends on. */
export type CacheShape = AttentionShape & Pick<DecoderShape, "layers">;

/** Rotary position embedding (arXiv 2104.09864). */
export interface RopeShape {
  /** Dimensions of a head that are rotated, an even number. */
  readonly dimensions: number;
  /** θ: the base of the frequencies. */
  readonly base: number;
  /** Divides positions (linear scaling); 1 leaves them. */
  readonly scale: number;
  /** Divides each frequency (Llama 3), `[dimensions / 2]`. */
  readonly factors?: Float32Array;
}

/**
 * Frequencies in radians per position of a head's pairs (i, i + headDim / 2), `[headDim / 2]`, in f64:
 * base^(−2i/d), divided by what the scaling asks; 0 for pairs that are not rotated.
 */
export function ropeFrequencies(
  { rope, headDim }: Pick<DecoderShape, "rope" | "headDim">,
): Float64Array {
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    if (2 * i >= rope.dimensions) return 0;
    const frequency = rope.base ** (-2 * i / rope.dimensions);
    return frequency / rope.scale / (rope.factors?.[i] ?? 1);
  });
}
