/**
 * Sessions that stand before a real one, or in place of it.
 *
 * @module
 */
import type {
  EngineSession,
  EngineTensor,
  RunOptions,
  TensorData,
} from "../../lib/engine/engine.ts";

/** A value with the memory behind it. */
export interface RecordedTensor extends EngineTensor {
  readonly data: TensorData;
}

/** Remembers what a decoder gave, and fails on demand. */
export class RecordingSession implements EngineSession {
  /** Inputs of the last run. */
  inputs: Readonly<Record<string, EngineTensor>> = {};
  /** Outputs of the last run. */
  outputs: Readonly<Record<string, Float32Array>> = {};
  runs = 0;
  /** The next runs that reach the engine fail, after this many that do not. */
  failAfter = Infinity;
  readonly #inner: EngineSession;

  constructor(inner: EngineSession) {
    this.#inner = inner;
  }

  tensor(data: TensorData, dims: readonly number[]): EngineTensor {
    return this.#inner.tensor(data, dims);
  }

  /** The caches of the last run, by input. */
  caches(): Record<string, EngineTensor> {
    return Object.fromEntries(
      Object.entries(this.inputs).filter(([name]) => /_\d+$/.test(name)),
    );
  }

  async run(
    inputs: Readonly<Record<string, EngineTensor>>,
    options?: RunOptions,
  ): Promise<Record<string, Float32Array>> {
    if (this.failAfter-- <= 0) throw new Error("engine failed on purpose");
    this.inputs = inputs;
    this.runs++;
    return this.outputs = await this.#inner.run(inputs, options);
  }

  async release(): Promise<void> {
    await this.#inner.release();
  }
}

/** Computes nothing: outputs are zeros, or what `rows` says of each run's tokens. */
export class EmptySession implements EngineSession {
  /** Inputs of the last run. */
  inputs: Record<string, RecordedTensor> = {};
  readonly #rowWidth: number;
  readonly #vocabulary: number;
  readonly #value: () => number;

  constructor(
    of: { rowWidth: number; vocabulary: number; value?: () => number },
  ) {
    this.#rowWidth = of.rowWidth;
    this.#vocabulary = of.vocabulary;
    this.#value = of.value ?? (() => 0);
  }

  tensor(data: TensorData, dims: readonly number[]): RecordedTensor {
    return { data, dims };
  }

  run(
    inputs: Readonly<Record<string, EngineTensor>>,
  ): Promise<Record<string, Float32Array>> {
    this.inputs = inputs as Record<string, RecordedTensor>;
    const tokens = this.inputs.embeddings!.dims[1]!;
    const wanted = this.inputs.logit_tokens!.dims[0]!;
    const rows = () =>
      new Float32Array(tokens * this.#rowWidth).fill(this.#value());
    return Promise.resolve({
      logits: new Float32Array(wanted * this.#vocabulary),
      keys: rows(),
      values: rows(),
    });
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}
