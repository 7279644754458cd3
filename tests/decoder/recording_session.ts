/**
 * Sessions that stand before a real one, or in place of it.
 *
 * @module
 */
import type { RowData } from "../../lib/cache/layer_memory.ts";
import type {
  EngineSession,
  EngineTensor,
  TensorData,
} from "../../lib/engine/engine.ts";

/** A value with the memory behind it. */
export interface RecordedTensor extends EngineTensor {
  readonly data: TensorData;
}

/** Remembers the memory that a decoder gave, and fails on demand. */
export class RecordingSession implements EngineSession {
  /** The memory of every value ever made. */
  readonly #memory = new Map<EngineTensor, TensorData>();
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
    const tensor = this.#inner.tensor(data, dims);
    this.#memory.set(tensor, data);
    return tensor;
  }

  /** The caches of the last run, by input. */
  caches(): Record<string, EngineTensor> {
    return Object.fromEntries(
      Object.entries(this.inputs).filter(([name]) => /_\d+$/.test(name)),
    );
  }

  /** All of the memory that the last run's caches lie in. */
  cacheMemory(): RowData[] {
    const found = new Map<ArrayBufferLike, RowData>();
    for (const tensor of Object.values(this.caches())) {
      const view = this.#memory.get(tensor) as RowData;
      const { buffer } = view;
      const Values = view.constructor as new (of: ArrayBuffer) => RowData;
      found.set(buffer, new Values(buffer));
    }
    return [...found.values()];
  }

  async run(
    inputs: Readonly<Record<string, EngineTensor>>,
  ): Promise<Record<string, Float32Array>> {
    if (this.failAfter-- <= 0) throw new Error("engine failed on purpose");
    this.inputs = inputs;
    this.runs++;
    return this.outputs = await this.#inner.run(inputs);
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
