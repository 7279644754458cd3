/**
 * Counts what is dispatched on any GPU of this process, by the name of the shader, ours and ONNX
 * Runtime's, and what is made for it. Make one before a device is opened.
 *
 * @module
 */

/** What was counted. */
export interface GpuCounts {
  /** By shader, in the order of their first one. */
  readonly dispatches: ReadonlyMap<string, number>;
  /** Buffers and bind groups made. */
  readonly made: number;
  /** Bytes mapped. */
  readonly mapped: number;
}

/** Counts until it is disposed of. */
export class DispatchCounter implements Disposable {
  #counts = new Map<string, number>();
  #read = 0;
  #made = 0;
  readonly #names = new WeakMap<object, string>();
  readonly #undo: (() => void)[] = [];

  constructor() {
    const names = this.#names;
    const nameOf = (module: object) => names.get(module) ?? "?";
    this.#wrap(GPUDevice.prototype, "createShaderModule", (made, [of]) => {
      names.set(made as object, (of as GPUShaderModuleDescriptor).label ?? "?");
    });
    const named = (made: object, [of]: unknown[]) => {
      const { compute } = of as GPUComputePipelineDescriptor;
      names.set(made, nameOf(compute.module));
    };
    this.#wrap(
      GPUDevice.prototype,
      "createComputePipeline",
      (made, of) => named(made as object, of),
    );
    this.#wrap(
      GPUDevice.prototype,
      "createComputePipelineAsync",
      (made, of) => {
        (made as Promise<object>).then((pipeline) => named(pipeline, of))
          .catch(() => {});
      },
    );
    const current = new WeakMap<object, string>();
    const pass = GPUComputePassEncoder.prototype;
    this.#wrap(pass, "setPipeline", (_, [pipeline], self) => {
      current.set(self, nameOf(pipeline as object));
    });
    for (
      const dispatch of [
        "dispatchWorkgroups",
        "dispatchWorkgroupsIndirect",
      ] as const
    ) {
      this.#wrap(pass, dispatch, (_, __, self) => {
        const name = current.get(self) ?? "?";
        this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
      });
    }
    for (const make of ["createBuffer", "createBindGroup"] as const) {
      this.#wrap(GPUDevice.prototype, make, () => this.#made++);
    }
    this.#wrap(GPUBuffer.prototype, "getMappedRange", (range) => {
      this.#read += (range as ArrayBuffer).byteLength;
    });
  }

  /** What was counted since the last call. */
  take(): GpuCounts {
    const [dispatches, made, mapped] = [this.#counts, this.#made, this.#read];
    const taken = { dispatches, made, mapped };
    this.#counts = new Map();
    [this.#made, this.#read] = [0, 0];
    return taken;
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo) undo();
  }

  /** Has `seen` told of every call of a method. */
  #wrap<T extends object, K extends keyof T & string>(
    of: T,
    method: K,
    seen: (result: unknown, given: unknown[], self: object) => void,
  ): void {
    const original = of[method] as (...given: unknown[]) => unknown;
    function wrapped(this: object, ...given: unknown[]): unknown {
      const result = original.apply(this, given);
      seen(result, given, this);
      return result;
    }
    of[method] = wrapped as T[K];
    this.#undo.push(() => of[method] = original as T[K]);
  }
}
