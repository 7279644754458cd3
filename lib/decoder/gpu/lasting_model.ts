/** A model that outlasts its devices. @module */
import { type GpuBytes, GpuLostError } from "../../engine/gpu.ts";
import type { GpuModelSource } from "./claim_parts.ts";
import type { GpuModel } from "./gpu_model.ts";
import type { GpuSize } from "./gpu_size.ts";
import { type OpenGpu, openGpuModel } from "./open_model.ts";

/** Devices that are lost under one piece of work before it fails. */
const MOST_LOSSES = 3;

/** How a model is opened. */
export interface ModelOpening {
  readonly open: OpenGpu;
  readonly source: GpuModelSource;
  readonly size: GpuSize;
}

/**
 * Opens its model on another device whenever one is lost, or had an error that nobody waited for: what
 * is in its memory is not what it should be then.
 */
export class LastingModel {
  readonly #opening: ModelOpening;
  readonly #bringBack: (model: GpuModel) => Promise<void>;
  /** `null` from when a device was found lost until all is as it was on another one. */
  #model: GpuModel | null;
  /** Models whose devices had such an error. */
  readonly #spoilt = new WeakSet<GpuModel>();
  #released = false;

  /** @param bringBack puts what was lost with a device onto another one */
  constructor(
    opening: ModelOpening,
    model: GpuModel,
    bringBack: (model: GpuModel) => Promise<void>,
  ) {
    this.#opening = opening;
    this.#model = model;
    this.#bringBack = bringBack;
    this.#watch(model);
  }

  /** The model as it is now; `null` if its device is lost, or as good as lost. */
  get present(): GpuModel | null {
    const model = this.#model;
    const gone = !model || model.gpu.isLost || this.#spoilt.has(model);
    return gone ? null : model;
  }

  /** Bytes on the device, by purpose. */
  get bytes(): GpuBytes {
    return this.#model?.gpu.bytes ?? { weights: 0, caches: 0, scratch: 0 };
  }

  /**
   * Works on a device; when it is lost, brings all back on another one and works again. One at a time.
   *
   * @throws {GpuLostError} if it was lost time and again
   * @throws {Error} if there is no device any more; the next call looks for one again
   */
  async use<T>(work: (model: GpuModel) => T | Promise<T>): Promise<T> {
    for (let losses = 1;; losses++) {
      try {
        return await work(await this.#ready());
      } catch (error) {
        if (!(error instanceof GpuLostError) || losses === MOST_LOSSES) {
          throw error;
        }
      }
    }
  }

  /**
   * Says whether what was computed counts; to be asked before anything changes for it.
   *
   * @throws {GpuLostError} if the device had an error that nobody waited for
   */
  check(model: GpuModel): void {
    if (!this.#spoilt.has(model)) return;
    throw new GpuLostError("Cannot run the model: the GPU had an error before");
  }

  /** Frees the device. */
  async release(): Promise<void> {
    this.#released = true;
    await this.#drop();
  }

  async #ready(): Promise<GpuModel> {
    if (this.#released) {
      throw new Error("Cannot run the model on the GPU: it was released");
    }
    if (!this.present) {
      await this.#drop().catch(() => {}); // what it held is gone anyway
      this.#model = await this.#reopen();
    }
    return this.#model!;
  }

  async #reopen(): Promise<GpuModel> {
    const { open, source, size } = this.#opening;
    let model: GpuModel | null = null;
    try {
      model = await openGpuModel(open, source, size);
      this.#watch(model);
      await this.#bringBack(model);
      return model;
    } catch (cause) {
      await model?.release();
      if (cause instanceof GpuLostError) throw cause;
      const { message } = cause as Error;
      throw new Error(
        `The GPU device was lost and could not be replaced: ${message}`,
        { cause },
      );
    }
  }

  #watch(model: GpuModel): void {
    model.gpu.device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#spoilt.add(model);
    });
  }

  async #drop(): Promise<void> {
    const model = this.#model;
    this.#model = null;
    await model?.release();
  }
}
