/** A GPU device, opened with all that ONNX Runtime and our kernels can use of it. @module */
import {
  type AdapterSource,
  describeAdapter,
  findAdapter,
  type GpuPreference,
  isSoftware,
} from "./adapter.ts";
import { popErrorScopes, pushErrorScopes } from "./error_scopes.ts";
import { type GpuBytes, GpuLedger, type Purpose } from "./gpu_ledger.ts";
import { lend, type LentDevice } from "./lent_device.ts";

export type { GpuBytes, Purpose } from "./gpu_ledger.ts";

/** Used if the adapter has them. */
const FEATURES: readonly GPUFeatureName[] = ["shader-f16", "subgroups"];

/** Raised to what the adapter has. */
const LIMITS = [
  "maxBindGroups",
  "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** Milliseconds in which a lost device says so, once something failed. */
const LOSS_DELAY = 50;

/** The device is gone, and all that was in its memory: it has to be opened anew. */
export class GpuLostError extends Error {
  override name = "GpuLostError";
}

/** How to open a {@linkcode Gpu}. */
export interface GpuOptions {
  readonly preference: GpuPreference;
  /** Where adapters come from, `null` if from nowhere. Default: `navigator.gpu`. */
  readonly source?: AdapterSource | null;
}

/** A GPU that we opened for ourselves and share with ONNX Runtime. */
export class Gpu {
  /** The device; it counts the buffers that are made with it. */
  readonly device: GPUDevice;
  /** What the adapter calls itself. */
  readonly description: string;
  /** Whether it computes on the CPU. */
  readonly software: boolean;
  /** Resolves to the reason when the device is lost; not on {@linkcode release}. */
  readonly lost: Promise<string>;
  readonly #ledger: GpuLedger;
  readonly #lent: LentDevice;
  #lostReason: string | null = null;
  #released = false;

  private constructor(device: GPUDevice, adapter: GPUAdapter) {
    this.device = device;
    this.description = describeAdapter(adapter);
    this.software = isSoftware(adapter);
    this.#ledger = new GpuLedger(device);
    this.#lent = lend(device);
    const lost = Promise.withResolvers<string>();
    this.lost = lost.promise;
    const note = (reason: string) => {
      this.#lostReason ??= reason;
      this.#ledger.close();
      if (!this.#released) lost.resolve(this.#lostReason);
    };
    device.lost.then(({ reason, message }) => note(`${reason}: ${message}`));
    // `lost` tells of this only in a later turn of the event loop.
    const destroy = device.destroy.bind(device);
    device.destroy = () => {
      destroy();
      note("destroyed");
    };
  }

  /**
   * Opens a device.
   *
   * @throws {Error} that says what was asked for, what is the case and what to do, if there is no GPU
   * or it gives no device.
   */
  static async open({ preference, source }: GpuOptions): Promise<Gpu> {
    const found = await findAdapter(preference, source);
    const asked = `Cannot open a GPU (EVERSTREAM_GPU=${preference})`;
    if (!found.adapter) {
      throw new Error(`${asked}: ${found.problem}. ${found.advice}`);
    }
    const { adapter } = found;
    try {
      const device = await adapter.requestDevice({
        requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
        requiredLimits: Object.fromEntries(
          LIMITS.map((name) => [name, adapter.limits[name]]),
        ),
      });
      return new Gpu(device, adapter);
    } catch (cause) {
      const { message } = cause as Error;
      throw new Error(
        `${asked}: "${
          describeAdapter(adapter)
        }" gives no device (${message}). ` +
          "See whether other programs use all of it, or set EVERSTREAM_ENGINE to native or wasm",
        { cause },
      );
    }
  }

  /** Whether shaders can compute with f16. */
  get f16(): boolean {
    return this.device.features.has("shader-f16");
  }

  /** Whether the device is lost, destroyed or released. */
  get isLost(): boolean {
    return this.#lostReason !== null;
  }

  /** Bytes of buffers that are alive now, by purpose; 0 once the device is lost. */
  get bytes(): GpuBytes {
    return this.#ledger.bytes;
  }

  /** Buffers created so far, by anybody, ONNX Runtime included. */
  get created(): number {
    return this.#ledger.created;
  }

  /** The device for ONNX Runtime, which has to be done with it before {@linkcode release}. */
  get lent(): GPUDevice {
    return this.#lent.device;
  }

  /** Buffers that are made while `work` runs count for this purpose; one at a time. */
  async during<T>(purpose: Purpose, work: () => T | Promise<T>): Promise<T> {
    const before = this.#ledger.purpose;
    this.#ledger.purpose = purpose;
    try {
      return await work();
    } finally {
      this.#ledger.purpose = before;
    }
  }

  /** A buffer of ours. An error goes to the error scopes: see {@linkcode checked}. */
  buffer(purpose: Purpose, descriptor: GPUBufferDescriptor): GPUBuffer {
    const before = this.#ledger.purpose;
    this.#ledger.purpose = purpose;
    try {
      return this.device.createBuffer(descriptor);
    } finally {
      this.#ledger.purpose = before;
    }
  }

  /**
   * Runs work on a device that must outlast it. (On a lost device ONNX Runtime's runs do nothing
   * without a word, or never end.)
   *
   * @param what what is done, as in "Cannot … on the GPU"
   * @throws {GpuLostError} if the device is lost, whatever the work came to
   */
  async alive<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    this.#refuseLost(what);
    try {
      const result = await work();
      this.#refuseLost(what);
      return result;
    } catch (cause) {
      await this.#hearOfLoss();
      this.#refuseLost(what, cause);
      throw cause;
    }
  }

  /**
   * Likewise, and no error of the device may come of it: validation, out of memory, internal. One at a
   * time, as error scopes are the device's.
   *
   * @throws {GpuLostError} if the device is lost
   * @throws {Error} with the device's errors; what the work threw is their cause
   */
  checked<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    return this.alive(what, async () => {
      pushErrorScopes(this.device);
      const [outcome] = await Promise.allSettled([
        (async () => await work())(),
      ]);
      const messages = await popErrorScopes(this.device);
      const failed = outcome.status === "rejected";
      if (messages.length > 0) {
        throw new Error(
          `Cannot ${what} on the GPU: ${messages.join("; ")}`,
          failed ? { cause: outcome.reason } : {},
        );
      }
      if (failed) throw outcome.reason;
      return outcome.value;
    });
  }

  /** Frees the device and all its buffers. */
  release(): void {
    this.#released = true;
    this.device.destroy();
    this.#lent.takeBack();
  }

  /** Something failed: waits for the news that the device is lost, if that is why. */
  async #hearOfLoss(): Promise<void> {
    if (this.isLost) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const delay = new Promise((resolve) => {
      timer = setTimeout(resolve, LOSS_DELAY);
    });
    await Promise.race([this.lost, delay]);
    clearTimeout(timer);
  }

  #refuseLost(what: string, cause?: unknown): void {
    if (this.#lostReason === null) return;
    throw new GpuLostError(
      this.#released
        ? `Cannot ${what} on the GPU: it was released`
        : `Cannot ${what} on the GPU: the device is lost (${this.#lostReason})`,
      { cause },
    );
  }
}
