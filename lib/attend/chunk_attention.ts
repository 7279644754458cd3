/** Attention of a chunk of several tokens: plain operators on the engine, layer by layer. @module */
import type { DirectSession, EngineTensor } from "../engine/engine.ts";
import {
  type AttentionGraph,
  PROJECTIONS,
} from "../graph/attention/attended.ts";
import type { AttentionShape } from "../graph/decoder_shape.ts";

type Inputs = Readonly<Record<string, EngineTensor>>;

/** A layer's part of a chunk. */
export interface ChunkValues {
  /** `[tokens, heads + 2 kvHeads, headDim]`. */
  readonly projections: Float32Array;
  /** `[tokens, heads, headDim]`. */
  readonly attended: Float32Array;
  /** `[kvHeads, tokens, headDim]`. */
  readonly keys: Float32Array;
  /** Likewise. */
  readonly values: Float32Array;
}

/** Attends with a graph that serves all layers. */
export class ChunkAttention {
  readonly #session: DirectSession;
  readonly #names: AttentionGraph["outputs"];
  readonly #shape: AttentionShape;

  constructor(
    session: DirectSession,
    { outputs }: Pick<AttentionGraph, "outputs">,
    shape: AttentionShape,
  ) {
    this.#session = session;
    this.#names = outputs;
    this.#shape = shape;
  }

  /**
   * Attends in one layer with a chunk of one conversation.
   *
   * @param inputs what all layers read, and this one's caches
   * @param values what the engine gave and takes, and where keys and values as they are kept are to go
   */
  attend(inputs: Inputs, values: ChunkValues): void {
    const { heads, kvHeads, headDim } = this.#shape;
    const tokens = values.attended.length / (heads * headDim);
    const all = (heads + 2 * kvHeads) * headDim;
    const rows = [1, kvHeads, tokens, headDim];
    const tensor = (data: Float32Array, dims: readonly number[]) =>
      this.#session.tensor(data, dims);
    this.#session.compute({
      ...inputs,
      [PROJECTIONS]: tensor(values.projections, [tokens, all]),
    }, {
      [this.#names.attended]: tensor(values.attended, [
        tokens,
        heads * headDim,
      ]),
      [this.#names.keys]: tensor(values.keys, rows),
      [this.#names.values]: tensor(values.values, rows),
    });
  }

  /** Frees the graph. */
  async release(): Promise<void> {
    await this.#session.release();
  }
}
