/**
 * The part that onnxruntime-node and onnxruntime-web have in common: both speak
 * `onnxruntime-common`'s API.
 *
 * @module
 */
import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { EngineSession, EngineTensor, TensorData } from "./engine.ts";

/** The constructors of one of ONNX Runtime's packages. */
export interface OrtModule {
  readonly Tensor: typeof Tensor;
  readonly InferenceSession: typeof InferenceSession;
}

/** A session of either package as an {@linkcode EngineSession}. */
export class OrtSession implements EngineSession {
  readonly #ort: OrtModule;
  readonly #session: InferenceSession;
  #released = false;

  constructor(ort: OrtModule, session: InferenceSession) {
    this.#ort = ort;
    this.#session = session;
  }

  tensor(data: TensorData, dims: readonly number[]): EngineTensor {
    return hostTensor(this.#ort, data, dims);
  }

  async run(
    inputs: Readonly<Record<string, EngineTensor>>,
  ): Promise<Record<string, Float32Array>> {
    return await runOnHost(this.#session, inputs);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.#session.release();
  }
}

/** Wraps host memory as a value. */
export function hostTensor(
  { Tensor }: Pick<OrtModule, "Tensor">,
  data: TensorData,
  dims: readonly number[],
): EngineTensor {
  if (data instanceof Float32Array) return new Tensor("float32", data, dims);
  if (data instanceof BigInt64Array) return new Tensor("int64", data, dims);
  if (data instanceof Int8Array) return new Tensor("int8", data, dims);
  return new Tensor("int16", data, dims);
}

/** Runs a session whose values are all in host memory. */
export async function runOnHost(
  session: InferenceSession,
  inputs: Readonly<Record<string, EngineTensor>>,
): Promise<Record<string, Float32Array>> {
  const outputs = await session.run(inputs as Record<string, Tensor>);
  return Object.fromEntries(
    Object.entries(outputs).map((
      [name, tensor],
    ) => [name, tensor.data as Float32Array]),
  );
}
