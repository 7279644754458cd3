/**
 * What the graph needs of a family of models: the numbers, and each layer's weights. One file per
 * family reads them from a GGUF; `transformer.ts` writes the nodes.
 *
 * @module
 */
import type { GgufFile } from "../weights/gguf.ts";
import type { Metadata } from "../weights/metadata.ts";
import type { CacheShape, DecoderShape } from "./decoder_shape.ts";
import type { Matrix } from "./matrix.ts";

/** Weights of one pre-norm layer with gated feed-forward. */
export interface LayerWeights {
  /** RMSNorm before attention, `[hidden]`. */
  readonly attentionNorm: Float32Array;
  /** `[heads × headDim, hidden]`, rows in rotate-half order, 1/√headDim folded in. */
  readonly query: Matrix;
  /** `[kvHeads × headDim, hidden]`, rows in rotate-half order. */
  readonly key: Matrix;
  /** `[kvHeads × headDim, hidden]` */
  readonly value: Matrix;
  /** `[hidden, heads × headDim]` */
  readonly attentionOutput: Matrix;
  /** RMSNorm before the feed-forward network, `[hidden]`. */
  readonly feedForwardNorm: Float32Array;
  /** `[feedForward, hidden]`, through SiLU. */
  readonly gate: Matrix;
  /** `[feedForward, hidden]` */
  readonly up: Matrix;
  /** `[hidden, feedForward]` */
  readonly down: Matrix;
}

/** A family of models. */
export interface ModelFamily {
  /** Values of `general.architecture` that it reads. */
  readonly architectures: readonly string[];
  /** Reads and checks the numbers that a cache's size depends on, which a file's header has. */
  readCacheShape(metadata: Metadata): CacheShape;
  /** Reads and checks the numbers. */
  readShape(file: GgufFile): Promise<DecoderShape>;
  /** Reads one layer's weights. */
  readLayer(
    file: GgufFile,
    shape: DecoderShape,
    layer: number,
  ): Promise<LayerWeights>;
  /** Reads the last norm, `[hidden]`, and the head, `[vocabulary, hidden]`. */
  readHead(
    file: GgufFile,
    shape: DecoderShape,
  ): Promise<{ norm: Float32Array; head: Matrix }>;
  /** Name of the embedding table's tensor, `[vocabulary, hidden]`. */
  readonly embedding: string;
}
