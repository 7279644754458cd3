/**
 * Where ONNX Runtime runs with caches in host memory. An engine says how it wants matrix products lowered
 * and opens sessions; everything above is the same for all of them. (A GPU keeps caches of f32 and f16 to
 * itself: see `gpu.ts` and `gpu_session.ts`.)
 *
 * @module
 */
import type { DecoderGraph } from "../graph/convert.ts";
import type { LinearLowering } from "../graph/linear.ts";

/** Names of the engines. */
export const ENGINE_NAMES = ["webgpu", "native", "wasm"] as const;

/** An engine's name. */
export type EngineName = typeof ENGINE_NAMES[number];

/** Values a graph takes. */
export type TensorData =
  | Float32Array
  | Int16Array
  | Int8Array
  | BigInt64Array;

/** A value bound to memory; the engine reads that memory at each run. */
export interface EngineTensor {
  readonly dims: readonly number[];
}

/** A graph ready to run. */
export interface EngineSession {
  /** Wraps memory as a value; a change of the memory is seen by the next run. */
  tensor(data: TensorData, dims: readonly number[]): EngineTensor;
  /**
   * Runs the graph once; the outputs are fresh memory.
   *
   * @throws {Error} if the engine fails; the session's inputs are as they were.
   */
  run(
    inputs: Readonly<Record<string, EngineTensor>>,
  ): Promise<Record<string, Float32Array>>;
  /** Frees what the session holds. */
  release(): Promise<void>;
}

/** How a session computes. */
export interface SessionOptions {
  readonly threads: number;
  /**
   * Whether nothing else runs on the calling thread that needs numbers below 2⁻¹⁰²², which an engine may then
   * take for 0. Default: no.
   */
  readonly ownThread?: boolean | undefined;
}

/** A way to run graphs. */
export interface Engine {
  readonly name: EngineName;
  readonly linear: LinearLowering;
  /** Whether products of single tokens with rows of 8 bits are quickest in integers. */
  readonly integers: boolean;
  /** Tokens of a prompt that one run should take. */
  readonly chunk: number;
  /** Opens a graph. */
  open(graph: DecoderGraph, options: SessionOptions): Promise<EngineSession>;
}
