/**
 * Where ONNX Runtime runs with caches in host memory. An engine says how it wants matrix products lowered
 * and opens sessions; everything above is the same for all of them. (A GPU keeps caches of f32 and f16 to
 * itself: see `gpu.ts` and `gpu_session.ts`.)
 *
 * @module
 */
import type { DecoderGraph } from "../graph/convert.ts";
import type { RowProducts } from "../graph/attention/row_formats.ts";
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

/** A node of a run in progress that asks for a layer's attention. */
export interface AttendNode {
  readonly layer: number;
  /** Each token's queries, keys and values, `[batch, chunk, heads + 2 kvHeads, headDim]`. */
  readonly projections: Float32Array<ArrayBuffer>;
  /** To be filled in, `[batch, chunk, heads, headDim]`. */
  readonly attended: Float32Array<ArrayBuffer>;
  /**
   * Runs machine code for each number below `items`, on the engine's threads: a function `(job, number)` of C.
   *
   * @throws {Error} if the engine fails
   */
  readonly forEach: (
    items: number,
    code: Deno.PointerObject,
    job: BufferSource,
  ) => void;
}

/** Attends in a run, in place of a graph's own operators. */
export interface RunAttention {
  /** Values of a layer's projections, and of what is attended to, of all tokens of the run. */
  readonly sizes: { readonly projections: number; readonly attended: number };
  /** Attends in one layer; what it throws, the run throws. */
  attend(node: AttendNode): void;
}

/** What a run is given beside its inputs. */
export interface RunOptions {
  readonly attention?: RunAttention;
  readonly outputs?: Readonly<Record<string, EngineTensor>>;
}

/** A graph ready to run. */
export interface EngineSession {
  /** Wraps memory as a value; a change of the memory is seen by the next run. */
  tensor(data: TensorData, dims: readonly number[]): EngineTensor;
  /**
   * Runs the graph once; the outputs are fresh memory, but for those that are given.
   *
   * @param options.attention what a graph with `Attend` nodes asks
   * @param options.outputs memory for outputs, by name; an engine may leave it and give fresh memory
   * @throws {Error} if the engine fails; the session's inputs are as they were.
   */
  run(
    inputs: Readonly<Record<string, EngineTensor>>,
    options?: RunOptions,
  ): Promise<Record<string, Float32Array>>;
  /** Frees what the session holds; once it has, nothing happens. */
  release(): Promise<void>;
}

/** A graph that computes at once, into memory that is given. */
export interface DirectSession {
  tensor: EngineSession["tensor"];
  /**
   * Runs the graph once.
   *
   * @throws {Error} if the engine fails
   */
  compute(
    inputs: Readonly<Record<string, EngineTensor>>,
    outputs: Readonly<Record<string, EngineTensor>>,
  ): void;
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

/** How a session computes whose graph may have `Attend` nodes, or be what attends for such nodes. */
export interface GraphOptions extends SessionOptions {
  /** Whether it does either: then two sessions share the CPU in the middle of a run. Default: no. */
  readonly attends?: boolean;
}

/** A way to run graphs. */
export interface Engine {
  readonly name: EngineName;
  readonly linear: LinearLowering;
  /** Whether it reads caches where they lie. */
  readonly inPlace: boolean;
  /** How single tokens attend to encoded rows quickest. */
  readonly products: RowProducts;
  /** Tokens of a prompt that one run should take. */
  readonly chunk: number;
  /** Opens a graph. */
  open(graph: DecoderGraph, options: GraphOptions): Promise<EngineSession>;
  /** Is told when a model is loaded, whose memory stays as it is from then on. */
  settle?(): void;
  /** Opens a graph without weights, on an engine that takes graphs with `Attend` nodes; others lack this. */
  openDirect?(
    model: Uint8Array,
    options: GraphOptions,
  ): Promise<DirectSession>;
}
