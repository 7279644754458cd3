/** What a device's buffers take, by what they are for. @module */

/** What a buffer is for. */
export type Purpose = "weights" | "caches" | "scratch";

/** Bytes of buffers that are alive, by purpose. */
export type GpuBytes = Readonly<Record<Purpose, number>>;

/**
 * Counts the buffers of one device, whoever creates them: a buffer counts from its creation until it,
 * or the device, is destroyed.
 */
export class GpuLedger {
  /** What new buffers are for. */
  purpose: Purpose = "scratch";
  #bytes = { weights: 0, caches: 0, scratch: 0 };
  #created = 0;
  #closed = false;

  /** @param device has its `createBuffer` replaced by one that counts */
  constructor(device: GPUDevice) {
    const create = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => this.#counted(create(descriptor));
  }

  /** Bytes of the buffers that are alive. */
  get bytes(): GpuBytes {
    return { ...this.#bytes };
  }

  /** Buffers created so far. */
  get created(): number {
    return this.#created;
  }

  /** Nothing is alive any more: the device was destroyed or lost. */
  close(): void {
    this.#closed = true;
    this.#bytes = { weights: 0, caches: 0, scratch: 0 };
  }

  #counted(buffer: GPUBuffer): GPUBuffer {
    const { purpose } = this;
    const { size } = buffer;
    this.#created++;
    if (this.#closed) return buffer;
    this.#bytes[purpose] += size;
    const destroy = buffer.destroy.bind(buffer);
    let alive = true;
    buffer.destroy = () => {
      if (alive && !this.#closed) this.#bytes[purpose] -= size;
      alive = false;
      destroy();
    };
    return buffer;
  }
}
