/**
 * ONNX Runtime on a GPU device of ours. Values are buffers of that device, inputs and outputs alike, so
 * that a run creates none and copies nothing.
 *
 * ONNX Runtime keeps a context for each device that a session names: a session on a new device works
 * as the first one did, in the same module, when the old device is lost.
 *
 * @module
 */
import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { DecoderGraph } from "../graph/convert.ts";
import type { EngineTensor } from "./engine.ts";
import type { Gpu } from "./gpu.ts";

/** A value bound to a buffer, or a scalar. */
export type GpuTensor = EngineTensor;

/** Element types of values. */
export type GpuElement = "float32" | "float16" | "int32" | "int64";

/** What a decoder needs of a session. */
export type GpuGraph = Pick<
  GpuSession,
  "tensor" | "scalar" | "shape" | "run" | "release"
>;

type Ort = typeof import("onnxruntime-web/webgpu");

/** A graph on a GPU. */
export class GpuSession {
  readonly #gpu: Gpu;
  readonly #ort: Ort;
  readonly #session: InferenceSession;

  private constructor(gpu: Gpu, ort: Ort, session: InferenceSession) {
    this.#gpu = gpu;
    this.#ort = ort;
    this.#session = session;
  }

  /**
   * Opens a graph. The weights go to the GPU and are not kept elsewhere.
   *
   * @throws {GpuLostError} if the device is lost meanwhile
   * @throws {Error} if the graph cannot be read or run, or its weights do not fit
   */
  static async open(gpu: Gpu, graph: DecoderGraph): Promise<GpuSession> {
    const { ort, session } = await openOnGpu(gpu, graph);
    return new GpuSession(gpu, ort, session);
  }

  /**
   * Binds a buffer, from its beginning on, as a value.
   *
   * @throws {RangeError} if the buffer is too small
   */
  tensor(
    buffer: GPUBuffer,
    type: GpuElement,
    dims: readonly number[],
  ): GpuTensor {
    const bytes = dims.reduce((a, b) => a * b, elementBytes(type));
    if (bytes > buffer.size) {
      throw new RangeError(
        `Cannot bind [${dims}] of ${type}: current buffer has ${buffer.size} of ${bytes} bytes`,
      );
    }
    return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims });
  }

  /** An int32 scalar on the CPU, for inputs that tell shapes. */
  scalar(value: number): GpuTensor {
    return new this.#ort.Tensor("int32", Int32Array.of(value), []);
  }

  /** An int64 vector on the CPU, likewise. */
  shape(values: readonly number[]): GpuTensor {
    const data = BigInt64Array.from(values, BigInt);
    return new this.#ort.Tensor("int64", data, [values.length]);
  }

  /**
   * Runs the graph once; runs wait for one another.
   *
   * @param outputs where each of the graph's outputs is written to; an input's buffer if it is to be
   * written in place
   * @throws {TypeError} if an output is missing, or none of the graph's
   * @throws {GpuLostError} if the device is lost
   * @throws {Error} if the engine fails; the outputs are undefined then
   */
  async run(
    inputs: Readonly<Record<string, GpuTensor>>,
    outputs: Readonly<Record<string, GpuTensor>>,
  ): Promise<void> {
    this.#checkNames(outputs);
    await inTurn(() =>
      this.#gpu.alive(
        "run the model",
        () =>
          this.#session.run(
            inputs as Record<string, Tensor>,
            outputs as Record<string, Tensor>,
          ),
      )
    );
  }

  /** Frees what the session holds; to be done before the GPU is released, and if it is lost, too. */
  async release(): Promise<void> {
    await inTurn(() => this.#session.release());
  }

  /** ONNX Runtime takes names that it does not know for options, and puts the outputs elsewhere. */
  #checkNames(outputs: Readonly<Record<string, GpuTensor>>): void {
    const { outputNames } = this.#session;
    const given = Object.keys(outputs);
    if (
      given.length === outputNames.length &&
      outputNames.every((name) => Object.hasOwn(outputs, name))
    ) return;
    throw new TypeError(
      `Cannot run the model: its outputs are ${outputNames}; given are ${given}`,
    );
  }
}

/**
 * Opens a graph on a device.
 *
 * @throws {GpuLostError} if the device is lost meanwhile
 * @throws {Error} if the graph cannot be read or run, or its weights do not fit
 */
export async function openOnGpu(
  gpu: Gpu,
  graph: DecoderGraph,
): Promise<{ ort: Ort; session: InferenceSession }> {
  const ort = await import("onnxruntime-web/webgpu");
  ort.env.wasm.numThreads = 1;
  return await inTurn(async () => {
    let session: InferenceSession | null = null;
    try {
      await gpu.checked("open the model", async () => {
        session = await gpu.during("weights", () => create(ort, gpu, graph));
      });
      return { ort, session: session! };
    } catch (error) {
      await (session as InferenceSession | null)?.release();
      throw error;
    }
  });
}

let turn: Promise<unknown> = Promise.resolve();

/** Whatever the session, ONNX Runtime's module breaks if two things are under way in it (asyncify). */
export function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = turn.then(work);
  turn = result.catch(() => {}); // an error is the caller's
  return result;
}

function elementBytes(type: GpuElement): number {
  return { float32: 4, float16: 2, int32: 4, int64: 8 }[type];
}

async function create(
  ort: Ort,
  gpu: Gpu,
  graph: DecoderGraph,
): Promise<InferenceSession> {
  const [bytes, data] = await Promise.all([
    Deno.readFile(graph.graph),
    Deno.readFile(graph.weights),
  ]);
  return await ort.InferenceSession.create(bytes, {
    executionProviders: [{ name: "webgpu", device: gpu.lent }],
    externalData: [{ path: graph.weightsName, data }],
    logSeverityLevel: 3,
  });
}
