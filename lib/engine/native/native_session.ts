/** A session of the native library. @module */
import { ELEMENT_TYPES } from "../../graph/graph_builder.ts";
import type {
  DirectSession,
  EngineSession,
  EngineTensor,
  GraphOptions,
  RunOptions,
  TensorData,
} from "../engine.ts";
import { AttendOperator } from "./attend_operator.ts";
import {
  addresses,
  check,
  elementCount,
  type Handle,
  LOG_FATAL,
  made,
  madeNumber,
  openOrtApi,
  type OrtApi,
  path,
  text,
} from "./ort_api.ts";

/**
 * Microseconds for which the library's threads look for more work before they sleep, where another session attends
 * in between: long enough for the nodes between two products; short enough that the CPU is soon free for the other.
 */
const SPIN_MICROSECONDS = "20";

/** A value: the memory itself, which is read at each run, and the library's value over it, once there is one. */
interface HostTensor extends EngineTensor {
  readonly data: TensorData;
  value: bigint;
}

/** A graph on the CPU, by ONNX Runtime's C API. */
export class NativeSession implements EngineSession, DirectSession {
  readonly #api: OrtApi;
  /** `null` once it is released. */
  #session: Handle;
  readonly #operator: AttendOperator;
  readonly #outputs: readonly string[];
  /** Frees the library's values of tensors that nobody has any more. */
  readonly #forgotten = new FinalizationRegistry<bigint>((value) =>
    this.#free(BigUint64Array.of(value))
  );
  /** Names as the library reads them. */
  readonly #names = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Values of the run in progress: the library points at their memory, which must not be collected. */
  #pointed: readonly EngineTensor[] = [];

  private constructor(
    api: OrtApi,
    session: Handle,
    operator: AttendOperator,
  ) {
    this.#api = api;
    this.#session = session;
    this.#operator = operator;
    this.#outputs = outputNames(api, session);
  }

  /**
   * Opens a graph: a file, or a model without weights.
   *
   * @throws {Error} if the library cannot be loaded, or not the graph
   */
  static async open(
    graph: string | Uint8Array,
    { threads, ownThread = false, attends = false }: GraphOptions,
  ): Promise<NativeSession> {
    const api = await openOrtApi();
    const { functions } = api;
    const operator = new AttendOperator(api);
    const options = made(api, (out) => functions.createSessionOptions(out));
    try {
      check(api, functions.setLogLevel(options, LOG_FATAL));
      check(api, functions.setThreads(options, threads));
      const entries = {
        "session.set_denormal_as_zero": ownThread ? "1" : "0",
        ...attends
          ? { "session.intra_op.spin_duration_us": SPIN_MICROSECONDS }
          : {},
      };
      for (const [name, value] of Object.entries(entries)) {
        const [key, entry] = [text(name), text(value)];
        check(api, functions.addConfigEntry(options, key, entry));
      }
      operator.addTo(options);
      const session = made(api, (out) => {
        if (typeof graph === "string") {
          const file = path(graph);
          return functions.createSession(api.environment, file, options, out);
        }
        const model = graph as Uint8Array<ArrayBuffer>;
        return functions.createSessionFromArray(
          api.environment,
          model,
          BigInt(model.length),
          options,
          out,
        );
      });
      return new NativeSession(api, session, operator);
    } catch (error) {
      operator.release();
      throw error;
    } finally {
      functions.releaseSessionOptions(options);
    }
  }

  tensor(data: TensorData, dims: readonly number[]): EngineTensor {
    return { data, dims, value: 0n } satisfies HostTensor as EngineTensor;
  }

  run(
    inputs: Readonly<Record<string, EngineTensor>>,
    { attention, outputs = {} }: RunOptions = {},
  ): Promise<Record<string, Float32Array>> {
    return Promise.try(() => {
      this.#operator.attention = attention ?? null;
      const given = this.#outputs.map((name) => outputs[name]);
      const results = this.#values(given);
      try {
        this.#run(inputs, this.#outputs, results);
        return Object.fromEntries(
          this.#outputs.map((name, i) => [
            name,
            (given[i] as HostTensor | undefined)?.data as Float32Array ??
              this.#floats(results[i]!),
          ]),
        );
      } finally {
        this.#operator.attention = null;
        const fresh = results.filter((_, i) => given[i] === undefined);
        this.#free(fresh);
      }
    });
  }

  compute(
    inputs: Readonly<Record<string, EngineTensor>>,
    outputs: Readonly<Record<string, EngineTensor>>,
  ): void {
    const values = this.#values(Object.values(outputs));
    this.#run(inputs, Object.keys(outputs), values);
  }

  release(): Promise<void> {
    return Promise.try(() => {
      if (this.#session === null) return;
      this.#api.functions.releaseSession(this.#session);
      this.#session = null;
      this.#operator.release();
    });
  }

  /**
   * @param results values to fill in; where there is none the library makes one, to be freed by who calls
   */
  #run(
    inputs: Readonly<Record<string, EngineTensor>>,
    outputs: readonly string[],
    results: BigUint64Array<ArrayBuffer>,
  ): void {
    if (this.#session === null) {
      throw new Error("Cannot run a graph whose session was released");
    }
    const tensors = Object.values(inputs);
    const given = this.#values(tensors);
    this.#pointed = tensors;
    try {
      const status = this.#api.functions.run(
        this.#session,
        null,
        this.#addresses(Object.keys(inputs)),
        given,
        BigInt(given.length),
        this.#addresses(outputs),
        BigInt(outputs.length),
        results,
      );
      try {
        check(this.#api, status);
      } catch (error) {
        this.#operator.check();
        throw error;
      }
    } finally {
      this.#pointed = [];
    }
  }

  #free(values: BigUint64Array): void {
    for (const value of values) {
      this.#api.functions.releaseValue(Deno.UnsafePointer.create(value));
    }
  }

  #addresses(names: readonly string[]): BigUint64Array<ArrayBuffer> {
    return addresses(names.map((name) => {
      const known = this.#names.get(name) ?? text(name);
      this.#names.set(name, known);
      return known;
    }));
  }

  /** Values over memory of ours; 0 where there is none. */
  #values(
    tensors: readonly (EngineTensor | undefined)[],
  ): BigUint64Array<ArrayBuffer> {
    const { functions, hostMemory } = this.#api;
    const make = (tensor: HostTensor) => {
      const { data, dims } = tensor;
      tensor.value = madeNumber(this.#api, (out) =>
        functions.createTensor(
          hostMemory,
          data as BufferSource,
          BigInt(data.byteLength),
          BigInt64Array.from(dims, BigInt),
          BigInt(dims.length),
          elementType(data),
          out,
        ));
      this.#forgotten.register(tensor, tensor.value);
      return tensor.value;
    };
    const value = (tensor: HostTensor) => tensor.value || make(tensor);
    return BigUint64Array.from(
      tensors,
      (tensor) => tensor ? value(tensor as HostTensor) : 0n,
    );
  }

  /** Copies a value of the library's. */
  #floats(value: bigint): Float32Array {
    const { functions } = this.#api;
    const handle = Deno.UnsafePointer.create(value);
    const data = made(this.#api, (out) => functions.tensorData(handle, out));
    const floats = new Float32Array(elementCount(this.#api, handle));
    if (floats.length > 0) Deno.UnsafePointerView.copyInto(data!, floats);
    return floats;
  }
}

function elementType(data: TensorData): number {
  if (data instanceof Float32Array) return ELEMENT_TYPES.float32;
  if (data instanceof BigInt64Array) return ELEMENT_TYPES.int64;
  if (data instanceof Int8Array) return ELEMENT_TYPES.int8;
  return ELEMENT_TYPES.int16;
}

function outputNames(api: OrtApi, session: Handle): string[] {
  const { functions } = api;
  const allocator = made(api, (out) => functions.defaultAllocator(out));
  const count = madeNumber(api, (out) => functions.outputCount(session, out));
  return Array.from({ length: Number(count) }, (_, i) => {
    const name = made(
      api,
      (out) => functions.outputName(session, BigInt(i), allocator, out),
    );
    const known = new Deno.UnsafePointerView(name!).getCString();
    check(api, functions.allocatorFree(allocator, name));
    return known;
  });
}
